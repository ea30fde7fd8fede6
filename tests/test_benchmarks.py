"""The benchmarks' arithmetic: operations against parameters, losses that agree, the table."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule.train import Run
from chainrule.train.watch import read_looks
from harness import markdown, names, peak, steady, table, workload
from harness.contestants import MAKERS
from harness.dense import Dense
from report_cases import layer, look
from workloads import GRIDS, SHORT, STEPS, load

ROOT = Path(__file__).parents[1]
WORKLOADS = [load(name) for name in STEPS]
CELLS = [cell for name in GRIDS for cell in load(name)]
DENSE = [w for w in WORKLOADS + CELLS if isinstance(w, Dense)]


def title(case):
    return case.title.split(":")[0]


def matrices(case):
    """The weights that are multiplied: neither biases and norms nor embeddings."""
    shapes = case.shapes().items()
    return {n: s for n, s in shapes if len(s) > 1 and not n.startswith(("wte", "wpe"))}


def test_every_file_is_a_workload():
    files = {p.stem for p in (ROOT / "benchmarks" / "workloads").glob("[a-z]*.py")}
    assert files == {*STEPS, *GRIDS}
    assert set(SHORT) <= files


def test_every_name_has_a_maker():
    assert list(MAKERS) == list(names.MODULES)
    assert {*names.SLOW, *names.ON_DISK, *names.BASES} <= set(MAKERS)


@pytest.mark.parametrize("case", DENSE, ids=title)
def test_operations_of_a_dense_network(case):
    model = case.module(chainrule)
    weights = [p.numel() for p in model.parameters() if p.ndim == 2]
    assert case.flops() == case.batch * (6 * sum(weights) - 2 * weights[0])


def test_operations_of_the_others():
    cnn, gpt, lstm, micro = (load(name) for name in ("cnn", "gpt", "lstm", "microgpt"))
    size = {n: math.prod(s) for n, s in matrices(cnn).items()}
    per_image = 784 * 4 * size["0.weight"] + 196 * 6 * size["3.weight"]
    assert cnn.flops() == 64 * (per_image + 6 * (size["7.weight"] + size["9.weight"]))
    total = sum(math.prod(s) for s in matrices(gpt).values())
    assert gpt.flops() == 12 * 64 * (6 * total + 4 * 12 * 64 * 128)
    size = {n: math.prod(s) for n, s in matrices(lstm).items()}
    step = 4 * size["lstm.weight_ih_l0"] + 6 * size["lstm.weight_hh_l0"]
    assert lstm.flops() == 32 * (50 * step + 6 * size["head.weight"])
    total = sum(math.prod(s) for s in matrices(micro).values())
    assert micro.flops() == 16 * (6 * total + 12 * 16 * 16)


def test_microgpt_has_the_size_of_the_original():
    assert sum(math.prod(s) for s in load("microgpt").shapes().values()) == 4192


@pytest.mark.parametrize("case", WORKLOADS + CELLS[:1], ids=title)
def test_shapes_are_those_of_the_model(case):
    if not all(workload.has(chainrule, name) for name in case.needs):
        pytest.skip("Chainrule has no such layer yet")
    state = case.module(chainrule).state_dict()
    assert {name: tuple(w.shape) for name, w in state.items()} == case.shapes()


@pytest.mark.parametrize("case", [w for w in WORKLOADS if w.rows < 5000], ids=title)
def test_data_are_whole_batches(case):
    assert {len(a) for a in case.arrays} == {case.rows}
    assert all(a.dtype in (np.float32, np.int64) for a in case.arrays)


@pytest.mark.parametrize(
    "name", ["seed", "snippet", "rl", pytest.param("mlp", marks=pytest.mark.slow)]
)
def test_numpy_by_hand_takes_chainrules_steps(name):
    """Every activation, both losses and both optimizers of the hand-written version."""
    case = load(name)
    epochs = case.short_epochs
    trainings, losses, out = steady.prepare(case, ["chainrule eager", "numpy"], 1, epochs)
    assert not out
    steady.check(case, trainings, losses)


class Compiled:
    """What `chainrule.compile` gives, taken eagerly."""

    def __init__(self, step):
        self.step = step

    def __call__(self, *batch):
        return self.step(*batch)

    def loop(self, data, *, batch_size, epochs, shuffle):
        starts = [*range(0, len(data[0]), batch_size)] * epochs
        assert not shuffle
        steps = ([a[i : i + batch_size] for a in data] for i in starts)
        return np.array([self.step(*batch).item() for batch in steps])


def test_compiled_contestants_call_the_compiler(monkeypatch):
    """Held to a stand-in: what they ask of it, and that steps and loop take the same steps."""
    threads = []
    monkeypatch.setattr(chainrule, "compile", Compiled, raising=False)
    monkeypatch.setattr(chainrule, "set_num_threads", threads.append, raising=False)
    case = load("seed")
    trainings, losses, out = steady.prepare(case, names.chosen(["chainrule"], False), 2, 2)
    assert not out
    assert threads == [2, 2]
    steady.check(case, trainings, losses)
    for training in trainings.values():
        training.run(1)
    assert not hasattr(trainings["chainrule loop"], "one")
    trainings["chainrule step"].one()


def test_disagreement_is_found():
    case = load("seed")
    same = np.linspace(1.0, 0.5, 8)
    steady.check(case, dict.fromkeys("ab"), {"a": same, "b": same})
    with pytest.raises(steady.Disagreement, match="b has losses"):
        steady.check(case, dict.fromkeys("ab"), {"a": same, "b": same * 1.01})
    with pytest.raises(steady.Disagreement, match="nothing is compared"):
        steady.check(case, dict.fromkeys("ab"), {"a": np.ones(8), "b": np.ones(8)})


def test_figures_of_a_row():
    seconds = {"torch": [0.2, 0.4, 0.3], "chainrule eager": [0.1, 0.1, 0.2]}
    base, figures = steady.summarize(seconds, steps=100, flops=10**7, peak=10.0, threads=2)
    assert base == "chainrule eager"
    assert figures["torch"]["us"] == pytest.approx(3000)
    assert figures["torch"]["gflops"] == pytest.approx(10 / 3)
    assert figures["torch"]["of_peak"] == pytest.approx(1 / 6)
    assert figures["torch"]["times_base"] == pytest.approx(2.0)  # of 2, 4 and 1.5


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.0123, "0.012"), (0.1, "0.100"), (1.234, "1.23"), (12.34, "12.3"),
     (99.96, "100"), (1234.5, "1,230"), (5.894e6, "5,890,000"), (0.00123, "0.00123")],
)  # fmt: skip
def test_numbers(value, text):
    assert table.number(value) == text


RESULT = {
    "machine": {"processor": "P", "cores": 2, "python": "3.11", "versions": {"numpy": "2.0"}},
    "short": False,
    "threads": {"1": {
        "peak": {"gflops": 100.0},
        "steady": {"seed": {"title": "seed: small", "base": "chainrule eager", "contestants": {
            "torch": {"us": 100.0, "of_peak": 0.01}, "torch tuned": {"us": 80.0, "of_peak": 0.0125},
            "chainrule eager": {"us": 40.0, "of_peak": 0.025, "cores": 0.5},
            "numpy": {"skipped": "no reason"},
        }}},
        "cold": {"seed": {"numpy": {
            "total": 1.5, "first_step": 0.01, "without_import": 0.5, "peak_mb": 64.0,
        }}},
        "grid": {"rxla": {"rows": [{"title": "a cell", "contestants": {
            "numpy": {"seconds": 0.0123}, "torch": {"failed": "broken"},
        }}]}},
    }},
}  # fmt: skip


def test_the_page():
    page = table.page(RESULT)
    assert "P, 2 cores; Python 3.11; numpy 2.0." in page
    assert "| workload | torch | torch tuned | chainrule eager |" in page
    assert "| seed | 100 | 80.0 | 40.0 |" in page
    assert "busy: seed (0.50 of a core for chainrule eager)." in page
    assert "| seed | chainrule eager | 2.00x | - | 2% |" in page
    assert "- numpy: no reason (everywhere)" in page
    assert "| seed | 10.0 |" in page
    assert "| a cell | 12.3 |" in page
    assert "- torch: broken (everywhere)" in page


def test_contestants_are_chosen_by_name_or_library():
    assert names.chosen(["chainrule"], False) == [
        "chainrule eager", "chainrule step", "chainrule loop",
    ]  # fmt: skip
    assert names.chosen(["jax scan"], False) == ["jax scan"]
    assert "torch.compile" not in names.chosen(None, False)
    assert "torch.compile" in names.chosen(None, True)
    with pytest.raises(SystemExit, match="no contestant is called jox"):
        names.chosen(["jox"], False)


def test_the_peak_is_measured():
    assert peak.make_peak()() > 0


@pytest.mark.slow
def test_a_short_run(tmp_path):
    out = tmp_path / "results.json"
    command = [sys.executable, "benchmarks/run.py", "--short", "--only", "numpy", "--only",
               "chainrule eager", "--out", str(out), "snippet", "rxla"]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    result = json.loads(out.read_text())
    row = result["threads"]["1"]
    assert row["steady"]["snippet"]["contestants"]["numpy"]["us"] > 0
    assert row["cold"]["snippet"]["chainrule eager"]["total"] > 0
    assert len(row["grid"]["rxla"]["rows"]) == 3
    assert "### Peak memory, MB" in table.page(result)


def test_a_long_run_has_a_report_with_its_length(tmp_path, monkeypatch):
    import insight

    monkeypatch.setattr(insight, "LONG", 600)
    monkeypatch.setattr(insight, "LOOKS", 5)
    run = Run.create("run", tmp_path)
    (run.path / "layers.jsonl").write_text(json.dumps(look(1, [layer("fc1", grad=0.1)])) + "\n")
    insight.long_run(run)
    assert len(run.rows) == 600
    assert [x.step for x in read_looks(run.path)] == [25 * 120 * i + 1 for i in range(5)]
    assert insight.opening(None, run.path) == ["not measured"] * 2


def test_a_page_of_figures():
    head, rows = ["a", "b", "c"], [["x", "1", "2"], ["y", "3", "4"]]
    text = "\n".join(markdown.table(head, rows))
    assert text == "| a | b | c |\n|---|---:|---:|\n| x | 1 | 2 |\n| y | 3 | 4 |"
    assert markdown.table(head, rows, words=2)[1] == "|---|---|---:|"
    page = markdown.page("Insight", "insight.py", "Medians.", ["numpy"], text)
    assert page.startswith("# Insight\n\nWritten by `python benchmarks/insight.py --write`; ")
    assert f", numpy {np.__version__}; load average at the end " in page
    assert page.endswith(f"\n\n{text}\n")


def test_the_tables_of_estimators():
    import estimators

    fits = {"seconds": [9.0, 0.2, 0.4], "processor": [9.0, 0.1, 0.3], "scores": [0.5, 0.75, 1.0],
            "epochs": [1, 2, 3]}  # fmt: skip
    faster = {**fits, "seconds": [9.0, 0.1, 0.2]}
    row = {"data": "iris", "threads": 1,
           "steady": {"sklearn": fits, "float64": faster, "float32": fits},
           "first": dict.fromkeys([("sklearn", "warm"), ("float64", "cold"), ("float64", "warm")],
                                  (0.3, 0.2))}  # fmt: skip
    lines = estimators.figures([row]).splitlines()
    assert (
        lines[2] == "| iris | 1 | scikit-learn | 300.0 | 1.0 | 200.0 | 1.0 | 0.7500 ± 0.2500 | 2 |"
    )
    assert lines[3].startswith("| iris | 1 | chainrule | 150.0 | 2.0 | 200.0 | 1.0 |")
    assert lines[-1] == "| iris | 1 | 300 (200) | 300 (200) | 300 (200) | 1.0 | 1.0 |"
