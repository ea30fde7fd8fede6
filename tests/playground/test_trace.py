"""The playground's numbers are the engine's, its formulas say how they come about."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise

import numpy as np
import pytest
from nets import ACTIVATIONS, drawn, evaluated, net_of

from chainrule import nn, playground, tensor
from chainrule.derivation.record import case_study
from chainrule.derivation.writing import number
from chainrule.errors import ArgumentError, NonFiniteError, ShapeError
from chainrule.playground.document import Subject, formula, html_of, trace_of, written
from chainrule.playground.examples import descent, model_of, small_of
from chainrule.playground.network import (
    ELEMENTWISE,
    KNOWN,
    Dense,
    Loss,
    Small,
    one_hot,
    replaced,
    small,
)
from chainrule.playground.proof import PlaygroundError, proved
from chainrule.playground.record import Recorded, loss_program
from chainrule.playground.steps import Steps
from chainrule.playground.training import limits, outputs, shortest, thinned
from test_notebook import read

CLASSES = nn.CrossEntropyLoss


def recorded_of(case):
    _, loss, _, x, y = case
    net = net_of(case)
    target = one_hot(y, net.sizes[-1]) if isinstance(loss, CLASSES) else y
    return Recorded(net, x, target)


def moved(recorded, rng):
    """Other numbers for the same program.

    Not so large that units are deep in saturation: where 1 - tanh² is 1e-5, one unit in the last
    place of tanh is 1e-11 of it, and two correct libraries differ by that much.
    """
    return {k: v if k == "y" else rng.uniform(-1.2, 1.2, v.shape)
            for k, v in recorded.inputs.items()}  # fmt: skip


def apart(found, wanted):
    """The largest difference as a share of the largest number."""
    found, wanted = np.asarray(found, np.float64), np.ravel(wanted)
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def held_to_the_engine(count):
    rng = np.random.default_rng(7)
    cases, engine = [], []
    for k in range(count):
        recorded = recorded_of(drawn(rng, k))
        inputs = moved(recorded, rng)
        cases.append((recorded.program, inputs))
        engine.append(recorded.run(inputs))
    for (program, _), found, wanted in zip(cases, evaluated(cases), engine, strict=True):
        assert found.keys() == program["outputs"].keys()
        for key, values in found.items():
            assert apart(values, wanted[key]) <= 1e-12, key


def test_the_evaluator_is_the_engine():
    held_to_the_engine(18)


@pytest.mark.slow
def test_the_evaluator_is_the_engine_on_many_networks():
    held_to_the_engine(600)


def test_every_activation_can_be_tried_in_its_place():
    rng = np.random.default_rng(3)
    net = net_of(drawn(rng, 3))
    nets = [replaced(net, a) for a in KNOWN.values()]
    x, y = rng.normal(size=net.sizes[0]), rng.uniform(size=net.sizes[-1])
    engine = [Recorded(n, x, y) for n in nets]
    found = evaluated([(loss_program(n), r.inputs) for n, r in zip(nets, engine, strict=True)])
    for values, recorded in zip(found, engine, strict=True):
        assert {f"d{k}" for k in net.arrays()} | {"L"} == values.keys()
        assert all(apart(v, recorded.values[k]) <= 1e-12 for k, v in values.items())


def test_numbers_that_are_not_finite_stay_so():
    """An edit can overflow: the page must say inf or nan where the engine does."""
    net = small(nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)), nn.MSELoss())
    recorded = Recorded(net, [1.0], [0.5])
    inputs = {**recorded.inputs, "W2": np.array([[1e300], [-1e300]]), "x": np.array([[1e200]])}
    (found,) = evaluated([(recorded.program, inputs)])
    wanted = recorded.run(inputs)
    texts = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    for key, values in found.items():
        np.testing.assert_array_equal(
            [texts.get(v, v) if isinstance(v, str) else v for v in values], np.ravel(wanted[key])
        )


# ---------------------------------------------------------------- formulas

IN_PYTHON = [("×", "*"), ("²", "**2"), ("Φ", "cdf"), ("φ", "density"), ("σ", "sigmoid")]
NAMES = {
    "exp": math.exp, "ln": math.log, "tanh": math.tanh, "max": max,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "cdf": lambda z: 0.5 * math.erfc(-z / math.sqrt(2)),
    "density": lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi),
}  # fmt: skip

ONLY_NAMED = {c.__name__.lower() for c in ELEMENTWISE} - KNOWN.keys()
"""Activations whose formula is their name: what they compute is not spelled out."""


def worked_out(text):
    for sign, python in IN_PYTHON:
        text = text.replace(sign, python)
    return eval(text, {"__builtins__": {}}, NAMES)


@pytest.mark.parametrize("k", range(24))
def test_a_formula_gives_its_number(k):
    """What is written is arithmetic: with all digits it comes out as the engine's number."""
    recorded = recorded_of(drawn(np.random.default_rng(k), k))
    steps = Steps(recorded)

    def value(ref):
        return float(np.ravel(recorded.values[ref[0]])[ref[1]])

    spelled = 0
    for step in steps.all():
        text = formula(step["formula"], lambda r: f"({value(r)!r})", value, True)
        if named := set(re.findall(r"([a-z]\w*)′?\(", text)) - NAMES.keys():
            assert named <= ONLY_NAMED
            continue
        wanted = value(step["value"])
        assert math.isclose(worked_out(text), wanted, rel_tol=1e-6, abs_tol=1e-9), (step, text)
        spelled += 1
    assert spelled > 5


def test_every_known_activation_is_spelled_out():
    net = small(nn.Sequential(nn.Linear(1, 1), nn.Tanh(), nn.Linear(1, 1)), nn.MSELoss())
    for name, activation in KNOWN.items():
        for x in (-1.3, 0.7):
            values = Recorded(replaced(net, activation), [x], [0.0]).values
            z, a = float(values["z1"][0, 0]), float(values["a1"][0, 0])
            for text, key in ((activation.value, "a1"), (activation.slope, "s1")):
                shown = text.replace("{z}", f"({z!r})").replace("{a}", f"({a!r})")
                assert math.isclose(worked_out(shown), float(values[key][0, 0]), rel_tol=1e-9), name


def test_every_gradient_has_a_step_and_every_step_reads_what_was_computed():
    for k in range(12):
        recorded = recorded_of(drawn(np.random.default_rng(k), k))
        known = {(key, i) for key, v in recorded.inputs.items() for i in range(v.size)}
        for step in Steps(recorded).all():
            pieces = [p for p in step["formula"] if not isinstance(p, str)]
            groups = [[p] if isinstance(p, list) else [r for t in p["sum"] for r in t]
                      for p in pieces]  # fmt: skip
            read = {tuple(r) for group in groups for r in group}
            assert known.issuperset(read), step
            known.add(tuple(step["value"]))
        for key, v in recorded.net.arrays().items():
            assert {(f"d{key}", i) for i in range(v.size)} <= known


def test_labels_are_all_different():
    recorded = recorded_of(drawn(np.random.default_rng(1), 1))
    labels = [name for names in Steps(recorded).labels.values() for name in names]
    assert len(set(labels)) == len(labels)


def test_a_long_sum_is_cut_and_keeps_its_total():
    values = {("x", i): float(v) for i, v in enumerate(np.linspace(-3, 4, 20))}
    terms = [[["x", i]] for i in range(20)]
    text = formula([{"sum": terms}], lambda r: f"({values[tuple(r)]!r})",
                   lambda r: values[tuple(r)], True)  # fmt: skip
    assert text.count("+") == 6
    assert math.isclose(worked_out(text), sum(values.values()), abs_tol=1e-5)


# ---------------------------------------------------------------- proof and refusals


@pytest.mark.parametrize("k", range(12))
def test_the_page_is_held_to_backward(k):
    model, loss, _, x, y = drawn(np.random.default_rng(k), k)
    net = small(model, loss)
    assert "agree" in proved(net, model, loss, x, y)
    spoiled = Small([Dense(d.name, d.weight * 1.001, d.bias, d.activation) for d in net.layers],
                    net.loss)  # fmt: skip
    with pytest.raises(PlaygroundError, match="is not what backward"):
        proved(spoiled, model, loss, x, y)


def sequence(*sizes, last=()):
    parts = [p for a, b in pairwise(sizes) for p in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*parts[:-1], *last)


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        (sequence(64, 8, 10), nn.CrossEntropyLoss(), "at most 16 inputs"),
        (sequence(2, 64, 2), nn.CrossEntropyLoss(), "at most 32 units in a layer"),
        (sequence(2, 4, 11), nn.CrossEntropyLoss(), "at most 10 outputs"),
        (sequence(16, 32, 32, 32, 2), nn.CrossEntropyLoss(), "at most 2000 weights"),
        (sequence(2, 2, 2, 2, 2, 2, 2, 2), nn.CrossEntropyLoss(), "at most 6 layers"),
        (nn.Sequential(nn.Conv1d(1, 1, 1)), nn.MSELoss(), "Conv1d"),
        (nn.Sequential(nn.Tanh(), nn.Linear(1, 1)), nn.MSELoss(), "behind a Linear layer"),
        (nn.Sequential(nn.Linear(2, 2), nn.Softmax(1)), nn.MSELoss(), "Softmax"),
        (sequence(2, 2), nn.L1Loss(), "MSELoss"),
        (sequence(2, 2), nn.MSELoss(reduction="sum"), "without weights"),
        (sequence(2, 2), nn.BCELoss(), "Sigmoid at the end"),
        (nn.Sequential(), nn.MSELoss(), "no layer"),
    ],
)  # fmt: skip
def test_what_it_refuses_it_names(model, loss, message):
    with pytest.raises(ArgumentError) as caught:
        small(model, loss)
    assert message in str(caught.value)


def test_layers_must_fit_and_weights_be_finite():
    fits = Dense("a", np.ones((2, 3)), None, None)
    with pytest.raises(ShapeError, match="does not fit"):
        Small([fits, Dense("b", np.ones((2, 1)), None, None)], Loss("mse"))
    with pytest.raises(NonFiniteError, match=r"a\.weight"):
        Small([Dense("a", np.full((1, 1), np.nan), None, None)], Loss("mse"))


@pytest.mark.parametrize("y", [2, -1, 0.5, [0, 1], None])
def test_a_class_is_a_class(y):
    with pytest.raises(ArgumentError, match="class"):
        playground.page(sequence(2, 2), nn.CrossEntropyLoss(), [0.0, 1.0], y)


@pytest.mark.parametrize("x", [[1.0], [1.0, 2.0, 3.0], [np.nan, 0.0], [np.inf, 0.0]])
def test_an_example_fits(x, tmp_path):
    with pytest.raises((ArgumentError, ShapeError)):
        playground.page(sequence(2, 2), nn.MSELoss(), x, [0.0, 1.0]).write(tmp_path / "p.html")


def test_the_model_is_left_as_it_was(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.ReLU(), nn.Linear(2, 2))
    before = {n: np.array(p.detach()) for n, p in model.named_parameters()}
    playground.page(model, nn.MSELoss(), [0.5, 1.0], [0.0, 1.0]).write(tmp_path / "p.html")
    assert model.training
    assert all(p.grad is None and p.dtype == np.float32 for p in model.parameters())
    assert all((np.asarray(p.detach()) == before[n]).all() for n, p in model.named_parameters())


# ---------------------------------------------------------------- the page

HOSTILE = '</script><script>alert(1)</script>"><img src=x onerror=alert(1)>\u2028&'


def test_hostile_names_stay_inert(tmp_path):
    model = nn.Sequential()
    model.add_module(HOSTILE.replace(".", ""), nn.Linear(2, 2))
    page = tmp_path / "p.html"
    playground.page(model, nn.MSELoss(), [0.5, 1.0], [0.0, 1.0], title=HOSTILE).write(page)
    text = page.read_text()
    assert "<img" not in text
    assert text.count("<script") == 3
    assert text.count("</script>") == 3
    trace = re.search(r'<script type="application/json" id="trace">(.*?)</script>', text, re.S)[1]
    assert "<" not in trace
    assert json.loads(trace)["title"] == HOSTILE


def test_a_page_asks_for_nothing_from_elsewhere(tmp_path):
    page = tmp_path / "p.html"
    playground.page(sequence(2, 3, 2), nn.CrossEntropyLoss(), [0.5, 1.0], 1).write(page)
    text = page.read_text()
    assert not re.search(r"""(src|href)=["'](?!#)|url\(|@import|import\(|fetch\(|XMLHttp""", text)
    assert "default-src 'none'" in text
    assert page.stat().st_size < 120_000


def test_tags_are_closed_and_ids_are_unique():
    model, moments, data = trained(2)
    for page in (
        playground.page(model, nn.CrossEntropyLoss(), [0.5, 1.0], 1, HOSTILE, data=data,
                        moments=moments),
        playground.page(sequence(2, 12, 2), nn.MSELoss(), [0.5, 1.0], [0.0, 1.0]),
    ):  # fmt: skip
        attributes = read(page.html).attributes
        ids = [v for _, k, v in attributes if k == "id"]
        assert len(set(ids)) == len(ids) > 20
        pointed = {i for _, k, v in attributes for i in (v or "").split()
                   if k in ("aria-labelledby", "aria-controls")}  # fmt: skip
        assert pointed <= set(ids)
        assert {v[1:] for _, k, v in attributes if k == "href"} <= set(ids)


def test_the_table_holds_every_step_without_a_script(tmp_path):
    page = tmp_path / "p.html"
    playground.page(sequence(2, 2, 1), nn.MSELoss(), [0.5, 1.0], [1.0]).write(page)
    text = page.read_text()
    trace = json.loads(re.search(r'id="trace">(.*?)</script>', text, re.S)[1])
    body = text[text.index('<table id="table">') :]
    assert body.count("<tr><th") == len(trace["steps"]) + 1
    for step in trace["steps"]:
        assert f"<td>{written(step, trace)['value']}</td>" in body


def test_the_article_s_network_steps_through_the_right_numbers():
    net = small_of(case_study())
    x, y = [0.5, 0.3], [0.8]
    trace = trace_of(Subject(net, x, y, "t", "a"))
    values = {trace["labels"][k][i]: v for k, vs in trace["values"].items()
              for i, v in enumerate(vs)}  # fmt: skip
    for name, wanted in {
        "z¹₁": 0.41, "z¹₂": 0.47, "z²": 1.0914213567828495, "L": 0.0026368966648948637,
        "δ²": -0.019325693988596536, "δ¹₁": -0.0027803633297635694, "σ′(z²)": 0.1881735366225834,
        "∂L/∂W²₁": -0.011616438, "∂L/∂W¹₁₁": -0.0013901817,
    }.items():  # fmt: skip
        assert math.isclose(values[name], wanted, rel_tol=1e-6), name
    training = descent(net, x, y, 500)
    assert training.moments[-1].at == "step 384"
    assert math.isclose(training.moments[10].loss, 0.00204658, rel_tol=1e-5)
    model, loss = model_of(net)
    assert "all 9 gradients" in proved(net, model, loss, x, y)
    assert html_of(Subject(net, x, y, "t", "a"), trace)


def trained(steps=4):
    """A model, copies of its weights on the way, and data."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    model = sequence(2, 3, 2)
    moments = []
    for i in range(steps):
        moments.append((f"step {i}", {k: np.array(v) for k, v in model.state_dict().items()}))
        for p in model.parameters():
            p.data = p.detach() * 1.1
    return model, moments, (x, y)


def test_a_training_of_one_s_own():
    model, moments, data = trained()
    page = playground.page(model, nn.CrossEntropyLoss(), data[0][3], data[1][3], "mine",
                           data=data, moments=moments)  # fmt: skip
    told = page.trace["training"]
    assert [m["at"] for m in told["moments"]] == ["step 0", "step 1", "step 2", "step 3"]
    for moment, (_, state) in zip(told["moments"], moments, strict=True):
        kept = np.asarray(moment["weights"]["W1"], np.float32).reshape(2, 3)
        assert (state["0.weight"] == kept.T).all()
        twin = sequence(2, 3, 2)
        twin.load_state_dict(state)
        right = (np.asarray(twin(tensor(data[0])).detach()).argmax(1) == data[1]).mean()
        assert math.isclose(moment["accuracy"], right)
    assert 'id="map"' in page.html
    assert "Page('mine'" in repr(page)
    without = playground.page(model, nn.MSELoss(), [0.0, 1.0], [0.5, 1.0], moments=moments)
    assert without.trace["training"]["map"] is None
    assert without.trace["training"]["moments"][0]["accuracy"] is None


def test_one_layer_alone_is_a_model_too():
    model = nn.Linear(2, 1)
    page = playground.page(model, nn.MSELoss(), [0.5, 1.0], [1.0],
                           moments=[("now", model.state_dict())])  # fmt: skip
    assert page.trace["network"]["layers"][0]["name"] == "linear"


def test_a_notebook_gets_the_page_in_a_frame():
    model = sequence(2, 2, 1)
    page = playground.page(model, nn.MSELoss(), [0.5, 1.0], [1.0], title=HOSTILE)
    frame = page._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert frame.count("<") == 2
    assert 'sandbox="allow-scripts"' in frame


@pytest.mark.parametrize(
    ("data", "moments", "loss"),
    [
        ("good", [], nn.CrossEntropyLoss()),
        ("good", "good", nn.MSELoss()),
        ("wide", "good", nn.CrossEntropyLoss()),
        ("classes", "good", nn.CrossEntropyLoss()),
        ("nan", "good", nn.CrossEntropyLoss()),
        ("none", [("a", {})], nn.CrossEntropyLoss()),
        ("none", "shapes", nn.CrossEntropyLoss()),
    ],
)
def test_a_training_that_does_not_fit(data, moments, loss):
    model, good, (x, y) = trained(2)
    given = {"good": (x, y), "wide": (x[:, :1], y), "classes": (x, y + 2), "none": None,
             "nan": (np.full_like(x, np.nan), y)}[data]  # fmt: skip
    shapes = [("a", {k: v.T for k, v in good[0][1].items()})]
    told = {"good": good, "shapes": shapes}[moments] if isinstance(moments, str) else moments
    target = 0 if isinstance(loss, nn.CrossEntropyLoss) else [0.0, 1.0]
    with pytest.raises(ArgumentError, match="playground"):
        playground.page(model, loss, x[0], target, data=given, moments=told)


def test_outputs_of_rows_are_the_model_s():
    rng = np.random.default_rng(0)
    model, loss, scale, _, _ = drawn(rng, 4)
    net = small(model, loss, scale)
    x = rng.normal(size=(5, net.sizes[0]))
    centred = x if scale is None else (x - scale[0]) / scale[1]
    wanted = model(tensor(np.ascontiguousarray(centred)))
    np.testing.assert_allclose(outputs(net, x, net.arrays()), np.asarray(wanted.detach()), 1e-12)


def test_moments_are_thinned_but_never_at_the_ends():
    for most in range(2, 40):
        kept = thinned(list(range(1000)), most)
        assert kept[0] == 0
        assert kept[-1] == 999
        assert len(kept) <= most
        assert kept == sorted(set(kept))
    assert thinned([1, 2, 3], 5) == [1, 2, 3]


def test_short_decimals_are_the_same_numbers():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=1000) * 10.0 ** rng.integers(-30, 30, 1000)).astype(np.float32)
    again = np.asarray(json.loads(json.dumps(shortest(x))), np.float64).astype(np.float32)
    assert (again == x).all()
    assert len(json.dumps(shortest(x))) < 0.7 * len(json.dumps([float(v) for v in x]))


def test_the_map_has_room_even_for_one_point():
    low, high = limits(np.zeros((1, 2)))
    assert all(a < 0 < b for a, b in zip(low, high, strict=True))


def test_activations_of_the_series_are_all_there():
    assert len(ACTIVATIONS) == 14
    assert number(0.5) == "0.5"
