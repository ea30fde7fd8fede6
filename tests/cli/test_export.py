"""Everything that is written as JSON fits its schema; runs as CSV and as TensorBoard's events."""

from __future__ import annotations

import copy
import csv
import functools
import importlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_cases import SHORT, SMALL, refused

from chainrule import diagram, nn, ones, schemas, summary
from chainrule.cli.app import COMMANDS
from chainrule.data import Preprocessing, Schema, penguins
from chainrule.train import open_run

jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema")
LOOK = {
    "step": 25, "epoch": 1, "lr": 0.01, "loss": 0.7, "overhead": 0.012,
    "layers": [{
        "name": "fc1", "kind": "Linear", "activation": "Tanh", "grad": 0.003, "weight": 1.5,
        "update": 0.002, "ratio": 0.0013, "gain": 0.6, "weights": "inf", "slope": None,
        "dead": 0.0, "saturated": 0.1, "dead_units": [2], "mean": 0.1, "std": "nan",
        "activations": {"low": -1.0, "high": 1.0, "counts": [1, 2] * 20},
        "gradients": {"low": "nan", "high": "nan", "counts": [0] * 40},
    }],
}  # fmt: skip


def watched(run):
    """A look inside of the run, as it is written."""
    (run.path / "layers.jsonl").write_text(json.dumps(LOOK) + "\n")


@functools.cache
def validator(name):
    """As an outside validator has it, which knows no other schema of ours."""
    return jsonschema.Draft202012Validator(schemas.schema(name))


def fits(name, value):
    return validator(name).is_valid(value)


made = {}


@pytest.fixture
def outputs(request):
    """Real output for every schema, made once."""
    if not made:
        made.update(real_output(request.getfixturevalue("chainrule")))
    return copy.deepcopy(made)


def real_output(chainrule):
    assert chainrule("train", "xor", *SMALL).exit_code == 0
    xor_run = "xor-0001"
    run = open_run(xor_run)

    def printed(*words):
        return json.loads(chainrule(*words).stdout)

    rows = "".join(f"{i % 7},{i % 5},{i % 2}\n" for i in range(40))
    Path("a.csv").write_text("x,z,y\n" + rows)

    def read(name):
        return json.loads((run.path / name).read_text())

    seen = json.loads((run.path / "layers.jsonl").read_text().splitlines()[0])
    assert fits("layers", LOOK)
    watched(run)
    deep = ("moons", "--layers", "8,8,8,8,8,8", "--activation", "sigmoid", "--optimizer", "sgd")
    assert chainrule("train", *deep, "--epochs", "2", "--eager", "-q").exit_code == 0
    far = ("--activation", "relu", "--optimizer", "sgd", "--lr", "1e30")
    assert chainrule("train", "circles", *far, "--no-report", "-q").exit_code == 1
    table = penguins()
    prep = Preprocessing.fit(table, Schema.infer(table, "species"))
    return {
        "nan": json.loads((run.path.parent / "circles-0001" / "nan" / "nan.json").read_text()),
        "config": read("config.json"), "environment": read("environment.json"),
        "result": read("result.json"), "metrics": run.rows[0], "layers": seen,
        "run": printed("export", xor_run, "--json"), "runs": printed("runs", "--json"),
        "outcome": printed("train", "xor", *SMALL, "--json", "--no-save"),
        "derivation": printed("explain", xor_run, "--optimizer", "--json"),
        "claims": printed("check-example", "seed221", "--json"),
        "what-if": printed("whatif", xor_run, "--lr", "0.1", "--first", "3", "--json"),
        "diagnosis": printed("diagnose", "moons", "--try=40", "--json"),
        "preflight": printed("preflight", "xor", "--layers", "4", "--json"),
        "resume": printed("verify-resume", "xor", *SHORT, "--json"),
        "lr-find": printed("lr-find", "xor", "--layers", "4", "--sweep-steps", "30", "--json"),
        "table-outcome": printed("train", "a.csv", "--target", "y", "--epochs", "1", "--layers",
                                 "4", "--no-report", "--folds", "1", "--json"),
        "tuning": printed("tune", "a.csv", "--target", "y", "--epochs", "3", "--layers", "4",
                          "--configs", "3", "--json"),
        "evaluation": printed("evaluate", xor_run, "--json"),
        "comparison": printed("compare", xor_run, "moons", "--json"),
        "playground": printed("playground", xor_run, "--json"),
        "diagram": diagram(nn.Linear(2, 1), ones(1, 2), ones(1, 1), nn.MSELoss()).as_data(),
        "table": prep.schema.to_json(),
        "preprocessing": prep.to_json(),
        "summary": summary(nn.Sequential(nn.Linear(2, 2)), input_size=(1, 2)).as_data(),
    }  # fmt: skip


@pytest.mark.slow
def test_all_that_is_written_fits_its_schema(outputs):
    assert sorted(outputs) == schemas.names()
    for name, value in outputs.items():
        wrong = [f"{name} {e.json_path}: {e.message}"[:200]
                 for e in validator(name).iter_errors(value)]  # fmt: skip
        assert not wrong


def refs(part):
    if isinstance(part, dict):
        yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        part = list(part.values())
    for p in part if isinstance(part, list) else []:
        yield from refs(p)


@pytest.mark.parametrize("name", schemas.names())
def test_every_reference_of_a_schema_is_within_it(name):
    found = schemas.schema(name)
    for ref in refs(found):
        at = found
        for key in ref.removeprefix("#").strip("/").split("/"):
            at = at[key] if key else at
        assert ref.startswith("#"), ref
    own = json.loads((schemas.FOLDER / f"{name}.json").read_text()).get("$defs", {})
    added = {r.removeprefix("chainrule:") for r in refs(schemas._read(name)) if r[0] != "#"}
    assert not own.keys() & added
    assert {**own, **dict.fromkeys(added)}.keys() <= found.get("$defs", {}).keys()


@pytest.mark.slow
def test_a_schema_is_one_and_refuses_what_is_missing_or_of_another_kind(outputs):
    for name, value in outputs.items():
        jsonschema.Draft202012Validator.check_schema(schemas.schema(name))
        held = value[0] if isinstance(value, list) else value
        for key in schemas.schema(name).get("required", []):
            assert not fits(name, {k: v for k, v in held.items() if k != key}), (name, key)
        for key in held:
            if key in schemas.schema(name).get("properties", {}):
                other = [["of another kind"]] if isinstance(held[key], dict) else {"a": 1}
                assert not fits(name, {**held, key: other}), (name, key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("playground", ("steps", 0, "formula", 0), {"product": []}),
        ("playground", ("program", "nodes", 0, "in", 0), -1),
        ("playground", ("values", "L", 0), "Infinity"),
        ("playground", ("training", "moments", 0, "accuracy"), 1.5),
        ("layers", ("layers", 0, "activations", "counts"), [1, 2]),
        ("layers", ("layers", 0, "grad"), "NaN"),
        ("run", ("metrics", 0, "epoch"), -1),
        ("run", ("config", "config", "recipe", "dropout"), 2),
        ("derivation", ("sections", 0, "lines", 0, "value"), "0.41"),
        ("claims", (0, "verdict"), "perhaps"),
        ("diagram", ("edges", 0, "gradient"), "none"),
        ("summary", ("layers", 0, "parameters"), None),
        ("table", ("features", 0, "kind"), "text"),
        ("preprocessing", ("blocks", 1, "scaling", "half_spread"), -1),
        ("preprocessing", ("schema", "target", "task"), "ranking"),
    ],
)  # fmt: skip
def test_what_lies_deep_is_looked_at(outputs, name, path, value):
    changed = copy.deepcopy(outputs[name])
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]]  # it is there
    at[path[-1]] = value
    assert not fits(name, changed)


PRINTS = {
    "train": "outcome", "runs": "runs", "explain": "derivation", "check-example": "claims",
    "playground": "playground", "export": "run", "diagnose": "diagnosis", "preflight": "preflight",
    "whatif": "what-if",
    "lr-find": "lr-find", "compare": "comparison", "tune": "tuning", "verify-resume": "resume",
    "evaluate": "evaluation",
}  # fmt: skip
"""Which schema the --json of a command fits."""


def test_every_command_that_prints_json_has_a_schema():
    modules = {c: importlib.import_module(f"chainrule.cli.{c.replace('-', '_')}") for c in COMMANDS}
    able = {c for c, m in modules.items() if any("--json" in p.opts for p in m.command.params)}
    assert able == PRINTS.keys()
    assert set(PRINTS.values()) <= set(schemas.names())


def test_schemas_can_be_printed(chainrule):
    for name in schemas.names():
        assert json.loads(chainrule("export", "--schema", name).stdout) == schemas.schema(name)


def test_epochs_as_csv(chainrule, xor_run):
    found = list(csv.DictReader(io.StringIO(chainrule("export", xor_run, "--csv", "-").stdout)))
    assert [int(r["epoch"]) for r in found] == [1, 2, 3]
    assert [float(r["loss"]) for r in found] == [r["loss"] for r in open_run(xor_run).rows]
    chainrule("export", "xor", "--csv", "out.csv")
    assert Path("out.csv").read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of --json"),
        (["xor", "--json", "--csv", "x"], "only one at a time"),
        (["--json"], "which run"),
        (["xor", "--schema", "run"], "takes no RUN"),
        (["--schema", "rum"], "did you mean run"),
        (["nothing", "--json"], "no run"),
    ],
)
def test_what_is_typed_wrong(chainrule, words, message):
    assert message in refused(chainrule("export", *words))


# ---------------------------------------------------------------- TensorBoard


def test_without_the_package_it_says_what_to_install(chainrule, xor_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    message = refused(chainrule("export", xor_run, "--tensorboard", "tb"), 1)
    assert "pip install 'chainrule[tensorboard]'" in message
    assert not Path("tb").exists()


@pytest.mark.slow
def test_tensorboard_reads_what_was_logged(chainrule, xor_run):
    watched(open_run(xor_run))
    pytest.importorskip("tensorboardX")
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = chainrule("export", xor_run, "--tensorboard", "tb")
    assert result.exit_code == 0, result.output
    assert [p.name for p in Path("tb").iterdir()] == [xor_run]
    found = reading.EventAccumulator(
        f"tb/{xor_run}", size_guidance=reading.STORE_EVERYTHING_SIZE_GUIDANCE
    )
    found.Reload()
    rows = open_run(xor_run).rows
    for tag, name in (("train/loss", "loss"), ("validation/accuracy", "val_accuracy")):
        events = found.Scalars(tag)
        assert [e.step for e in events] == [r["step"] for r in rows]
        np.testing.assert_allclose([e.value for e in events], [r[name] for r in rows], 1e-6)
    assert found.Scalars("layers/fc1/weights")[0].value == np.inf
    (histogram,) = found.Histograms("layers/fc1/activations")
    assert histogram.histogram_value.num == 60
    assert "layers/fc1/slope" not in found.Tags()["scalars"]  # not computed is not 0
    assert "layers/fc1/gradients" not in found.Tags()["histograms"]
    assert "there already" in refused(chainrule("export", xor_run, "--tensorboard", "tb"), 3)
    assert [p.name for p in Path("tb").iterdir()] == [xor_run]


@pytest.mark.slow  # the package alone takes a second to import
def test_nothing_is_left_of_an_export_that_fails(chainrule, xor_run, monkeypatch):
    tensorboard_x = pytest.importorskip("tensorboardX")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensorboard_x.SummaryWriter, "add_scalar", full)
    assert "No space" in refused(chainrule("export", xor_run, "--tensorboard", "tb"), 3)
    assert list(Path("tb").iterdir()) == []


@pytest.mark.slow
def test_a_log_that_is_none_is_refused(chainrule, xor_run):
    pytest.importorskip("tensorboardX")
    (open_run(xor_run).path / "layers.jsonl").write_text('{"step": 1}\n')
    assert "none of a run" in refused(chainrule("export", xor_run, "--tensorboard", "tb"), 1)
