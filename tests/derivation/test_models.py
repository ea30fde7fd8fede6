"""Derivations on models: every line comes out, and the whole is what backward() gives."""

from __future__ import annotations

import itertools
import json
import re
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.derivation import differences
from chainrule.derivation.elements import Place
from chainrule.derivation.forms import Leaf, evaluate
from chainrule.derivation.models import explain
from chainrule.derivation.models.cancelled import DerivationError
from chainrule.derivation.models.program import Program
from chainrule.derivation.models.recording import record
from chainrule.ops.core import quietly
from chainrule.train.watch import Probe
from derivation.make_golden import GOLDEN, MODELS, model_text
from derivation.model_cases import CASES, FAST, by_backward, entry_of, made

F = nn.functional


def entries(gradients, count=2):
    """(parameter, index): of each parameter the largest gradient, and one at random."""
    rng = np.random.default_rng(0)
    for name, g in gradients.items():
        flat = [int(np.abs(g).argmax()), *rng.integers(0, g.size, count - 1)]
        for i in dict.fromkeys(flat):
            yield name, tuple(int(k) for k in np.unravel_index(i, g.shape))


def hold_lines(found):
    """Every formula has the value that is said, and parts add up to the whole."""
    d = found.derivation
    with quietly():
        for section in d.sections:
            for line in section.lines:
                for form in (line.symbols, line.numbers):
                    if form is not None:
                        np.testing.assert_allclose(
                            evaluate(form, d.at), line.value, rtol=1e-8, atol=1e-13
                        )
    parts = next((s for s in d.sections if s.title == "EXAMPLES"), None)
    if parts is not None and found.value:
        total = sum(line.value for line in parts.lines)
        np.testing.assert_allclose(total, found.value, rtol=1e-9, atol=1e-14)


def hold_case(name, count=2):
    model, loss = made(name, double=True)
    wanted = by_backward(model, loss)
    for parameter, at in entries(wanted, count):
        model, loss = made(name, double=True)
        found = explain(loss, entry_of(parameter, at), model)
        scale = np.abs(wanted[parameter]).max()
        np.testing.assert_allclose(found.value, wanted[parameter][at], rtol=1e-10,
                                   atol=1e-11 * scale + 1e-16)  # fmt: skip
        assert found.holds, found.text()
        hold_lines(found)


@pytest.mark.parametrize("name", FAST)
def test_entries_are_what_backward_gives(name):
    hold_case(name, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_all_parameters_are_what_backward_gives(name):
    hold_case(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_loss_explains_itself_as_its_function_does(name):
    model, loss = made(name)
    state = chainrule.get_rng_state()
    values = loss()
    chainrule.set_rng_state(state)
    first = next(n for n, p in model.named_parameters() if p.ndim)
    at = (0,) * dict(model.named_parameters())[first].ndim
    one, other = values.explain(entry_of(first, at)), explain(loss, entry_of(first, at), model)
    assert one.holds
    np.testing.assert_allclose(one.value, other.value, rtol=1e-9)
    assert values.explain().holds


@pytest.mark.parametrize("name", ["smoothed"])
def test_units_of_a_layer_that_all_paths_pass_add_up(name):
    model, loss = made(name)
    found = explain(loss, "fc1.weight[1,2]", model, top=50)
    for section in found.derivation.sections:
        if section.title == "THROUGH":
            for layer in ("act2", "out"):
                parts = [ln.value for ln in section.lines if ln.what.startswith(f"{layer} unit")]
                np.testing.assert_allclose(sum(parts), found.value, rtol=1e-9)
        if section.title == "PATHS":
            share = sum(line.value for line in section.lines)
            assert section.note.startswith(f"{len(section.lines)} paths")
            entry = found.derivation.sections[0].lines[0].symbols.terms
            terms = [evaluate(t, found.derivation.at) for t in entry]
            np.testing.assert_allclose(share, max(terms, key=abs), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("tokens", "emb.weight[{},1]"),
        ("image", "conv1.weight[1,0,0,2]"),
        ("tokens", "pos.weight[1,2]"),
    ],
)
def test_units_and_what_goes_around_them_are_the_entry(name, entry):
    model, loss = made(name)
    row = int(np.abs(by_backward(model, loss).get("emb.weight", np.ones((1, 1)))).sum(1).argmax())
    found = explain(loss, entry.format(row), model, top=2)
    section = next(s for s in found.derivation.sections if s.title == "THROUGH")
    total: dict[str, float] = {}
    for line in section.lines:
        named = re.fullmatch(r"around (.+)|.+ more units? of (.+)|(.+) unit \d+", line.what)
        layer = next(part for part in named.groups() if part)
        total[layer] = total.get(layer, 0.0) + line.value
    assert len(total) > 1
    np.testing.assert_allclose(list(total.values()), found.value, rtol=1e-9)
    around = [line.what for line in section.lines if line.what.startswith("around")]
    assert bool(around) is (name == "tokens")  # past the residual connection


# ---------------------------------------------------------------- random networks

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "gelu": nn.GELU,
               "leaky": nn.LeakyReLU, "elu": nn.ELU, "softplus": nn.Softplus}  # fmt: skip
LOSSES = {
    "mse": lambda y, t: F.mse_loss(y, t),
    "sum": lambda y, t: F.mse_loss(y, t, reduction="sum"),
    "half": lambda y, t: ((y - t) ** 2).sum() / 2,
    "huber": lambda y, t: F.huber_loss(y, t),
    "ce": lambda y, t: F.cross_entropy(y, t.argmax(1)),
    "soft": lambda y, t: F.cross_entropy(y, F.softmax(t, 1), label_smoothing=0.1),
    "logits": lambda y, t: F.binary_cross_entropy_with_logits(y, F.sigmoid(t)),
}


@st.composite
def networks(draw):
    """Sizes, activations, norms, losses and batches."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    parts = []
    for i, (m, n) in enumerate(itertools.pairwise(sizes)):
        parts.append(nn.Linear(m, n, bias=draw(st.booleans())))
        if i < len(sizes) - 2:
            if draw(st.booleans()):
                parts.append(nn.LayerNorm(n))
            parts.append(ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))]())
    seed = draw(st.integers(0, 2**31))
    return parts, sizes, seed, draw(st.sampled_from(sorted(LOSSES))), draw(st.integers(1, 4))


def hold_network(case):
    parts, sizes, seed, loss_name, rows = case
    chainrule.manual_seed(seed)
    model = nn.Sequential(*parts).double()
    with chainrule.no_grad():
        for p in model.parameters():
            p.copy_(chainrule.randn(*p.shape, dtype=chainrule.float64))
    x = chainrule.randn(rows, sizes[0], dtype=chainrule.float64)
    t = chainrule.randn(rows, sizes[-1], dtype=chainrule.float64)
    loss = lambda: LOSSES[loss_name](model(x), t)  # noqa: E731
    wanted = by_backward(model, loss)
    largest = max(np.abs(g).max() for g in wanted.values())
    name, at = next(iter(entries(wanted, 1)))
    found = loss().explain(entry_of(name, at)) if seed % 2 else explain(loss, entry_of(name, at))
    np.testing.assert_allclose(found.value, wanted[name][at], rtol=1e-10, atol=1e-12 * largest)
    hold_lines(found)
    backward = found.derivation.sections[-1].lines[1]
    assert backward.note.endswith("✔")


@settings(max_examples=5, deadline=None)
@given(networks())
def test_random_networks_come_out(case):
    hold_network(case)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(networks())
def test_many_random_networks_come_out(case):
    hold_network(case)


# ---------------------------------------------------------------- how it is shown


@pytest.mark.parametrize("name", [
    pytest.param(n, marks=[] if n in ("update", "layer") else pytest.mark.slow) for n in MODELS
])  # fmt: skip
def test_the_text_of_a_model(name):
    assert model_text(name) == (GOLDEN / f"model-{name}.txt").read_text(encoding="utf-8")


ONE_AS_MANY = re.compile(
    r"(?<![\d.,])1 (more |other )?(paths|units|examples|terms|gradients|lines|squares|reasons)\b"
    r"|(?<![\d.])1 of \d+ (carry|are|\w+ agree)\b"
    r"|(?<![\d.,])([02-9]|\d\d+) (more |other )?(path|unit|example|term|gradient|line|square)\b"
    r"|(?<![\d.])([02-9]|\d\d+) of \d+ (carries|is|\w+ agrees)\b"
)
"""One thing said as if it were several, or several as if they were one."""


def hidden(*sizes, rows=4):
    rng = np.random.default_rng(0)
    chainrule.manual_seed(1)
    parts = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.Tanh())]
    model = nn.Sequential(*parts[:-1]).double()
    x = chainrule.tensor(rng.normal(size=(rows, sizes[0])))
    y = chainrule.tensor(rng.normal(size=(rows, sizes[-1])))
    return model, lambda: F.mse_loss(model(x), y)


@pytest.mark.parametrize(("sizes", "rows", "said"), [
    ((2, 3, 4, 1), 4, ("+ 1 more path ", "+ 1 more example ", "+ 1 more unit of 3:Tanh ")),
    ((2, 3, 5, 1), 5, ("+ 2 more paths ", "+ 2 more examples ", "+ 2 more units of 3:Tanh ")),
    ((2, 1, 1), 1, ("1 path from", "one square, so")),
    ((1, 1, 4, 4, 1), 2, ("more paths",)),
], ids=str)  # fmt: skip
def test_one_is_said_as_one_and_several_as_several(sizes, rows, said):
    model, loss = hidden(*sizes, rows=rows)
    text = explain(loss, "0.weight[0,0]", model).text(200)
    for words in said:
        assert words in text
    for found in (text, explain(loss, model=model).text(200)):
        assert not ONE_AS_MANY.search(found), ONE_AS_MANY.search(found)[0]


@pytest.mark.parametrize("name", FAST)
def test_no_derivation_says_one_thing_as_several(name):
    model, loss = made(name)
    gradients = by_backward(model, loss)
    for entry, at in itertools.islice(entries(gradients, 1), 3):
        text = explain(loss, f"{entry}[{','.join(map(str, at))}]", model).text(300)
        assert not ONE_AS_MANY.search(text), ONE_AS_MANY.search(text)[0]


def test_units_that_carry_nothing_are_counted():
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    with chainrule.no_grad():
        model[0].bias.fill_(5.0)
        model[2].weight.abs_()
        model[4].bias.fill_(0.0)
        model[2].bias.copy_(chainrule.tensor([1.0, 1.0, 1.0, -100.0]))
    x = chainrule.tensor([[0.5, 0.25], [0.1, 0.3]])
    text = explain(lambda: model(x).square().mean(), "0.weight[0,0]", model).text(200)
    assert "1 of 4 carries nothing" in text
    with chainrule.no_grad():
        model[2].bias.copy_(chainrule.tensor([1.0, 1.0, -100.0, -100.0]))
    text = explain(lambda: model(x).square().mean(), "0.weight[0,0]", model).text(200)
    assert "2 of 4 carry nothing" in text


def test_data_is_json_and_the_text_keeps_to_its_width():
    model, loss = made("smoothed")
    found = explain(loss, "fc1.weight[1,2]", model, lr=0.1)
    data = json.loads(json.dumps(found.data(), allow_nan=False))
    assert data["holds"] is True
    assert data["value"] == found.value
    assert max(map(len, found.text(80).splitlines())) <= 80
    assert found.text(80, ascii_only=True, plain=True).isascii()
    assert str(found) == repr(found) == found.text()
    few, many = found.text(100, digits=3), found.text(100, digits=9)
    assert few != many


def test_names_of_several_modules_and_tensors():
    chainrule.manual_seed(0)
    one, two, w = nn.Linear(2, 2), nn.Linear(2, 1), chainrule.ones(1).requires_grad_()
    loss = lambda: (two(one(chainrule.ones(3, 2)).tanh()) * w).sum()  # noqa: E731
    names = {"one": one, "two": two, "w": w}
    assert explain(loss, "one.weight[0,1]", names).holds
    assert explain(loss, "w[0]", names).holds
    assert explain(loss, None).holds  # found by themselves, one of the two with its class before it
    assert loss().explain("one.bias[0]", names).holds


CANCELLED = {
    "cross-entropy": "softmax(out)[", "smoothed": "softmax(out)[", "summed": "softmax(out)[",
    "weighted": "softmax(out)[", "ignored": "softmax(out)[", "policy": "softmax(out)[",
    "logits": "σ(out)[", "probabilities": "last[",
}  # fmt: skip


@pytest.mark.parametrize("name", CANCELLED)
def test_prediction_less_target_is_a_step_of_its_own(name):
    model, loss = made(name)
    text = explain(loss, "out.weight[0,1]", model).text(200)
    line = next(ln for ln in text.splitlines() if "everything else cancels" in ln)
    assert CANCELLED[name] in line


def test_a_step_that_does_not_come_out_is_refused():
    _, loss = made("smoothed")
    program = Program(record(loss, {}, {}))
    (out,) = program.cancelled.found
    place = Place(out, (0, 0))
    program.cancelled.hold(program.cancelled.form(place), place)
    with pytest.raises(DerivationError):
        program.cancelled.hold(Leaf(Place(program.leaf("out.bias"), (0,))), place)


def test_names_are_the_models_own_everywhere_and_what_is_shown_can_be_asked():
    chainrule.manual_seed(0)
    inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    model = nn.Sequential(nn.Linear(2, 3), inner, nn.LayerNorm(3), nn.Linear(3, 2))
    x, y, loss = chainrule.randn(4, 2), chainrule.tensor([0, 1, 1, 0]), nn.CrossEntropyLoss()
    state, modules = set(model.state_dict()), dict(model.named_modules())
    everything = explain(lambda: loss(model(x), y), None, model)
    shown = set(re.findall(r"∂L/∂([\w.]+(?:weight|bias))\b", str(everything)))
    assert shown == state
    for name in shown:
        one = explain(lambda: loss(model(x), y), name + "[0]" * (name[-1] == "s"), model)
        assert f"∂L/∂{name}" in str(one)
    outputs = set(re.findall(r"([\d.]+):(\w+)", str(everything)))
    assert outputs
    assert all(type(modules[path]).__name__ == kind for path, kind in outputs)
    for path, kind in outputs:
        if any(n.startswith(f"{path}.") for n in state):
            by_both = explain(lambda: loss(model(x), y), f"{path}:{kind}", model)
            assert str(by_both) == str(explain(lambda: loss(model(x), y), path, model))
    paths = {path for path in modules if path}
    assert {r.name for r in chainrule.summary(model, x).rows[1:]} == paths
    drawn = chainrule.diagram(model, x, y, loss).as_data()["nodes"]
    assert {n["label"] for n in drawn if n["kind"] == "module"} <= paths
    probe = Probe(model, loss, (x, y))
    assert {layer.name for layer in probe.measure()} <= paths


def test_an_activation_is_no_loss():
    """ln softmax or softplus in the middle: what follows depends on parameters."""
    chainrule.manual_seed(0)
    first, last = nn.Linear(2, 3), nn.Linear(3, 1)
    for middle in (lambda h: F.log_softmax(h, -1), F.softplus):
        loss = lambda f=middle: (last(f(first(chainrule.ones(2, 2)))) ** 2).mean()  # noqa: E731
        found = explain(loss, "first.weight[0,1]", {"first": first, "last": last})
        assert found.holds
        assert "everything else cancels" not in found.text()
        assert "last.weight[0,0]" in found.text()


def test_a_loss_finds_the_names_of_the_model_that_it_came_from():
    model, _ = made("mse")
    around = nn.Sequential(OrderedDict(net=model))
    x = chainrule.ones(2, 4)
    model(x)
    loss = around(x).sum()
    model(x)
    assert loss.explain("net.fc1.weight[0,0]").holds
    assert model(x).sum().explain("fc1.weight[0,0]").holds


def test_conventions_say_the_mean_and_the_halves():
    model, loss = made("mse")
    text = explain(loss, "fc1.weight[0,0]", model).text(200)
    assert "L is the mean of 10 squares" in text
    assert "halve" in text
    model, loss = made("summed")
    assert "each of its 5 examples has the weight 1" in explain(loss, "out.bias[0]", model).text(
        200
    )
    model, loss = made("cross-entropy")
    assert "weight 1/5, so its gradient is 1/5 (softmax" in explain(
        loss, "out.bias[0]", model).text(200)  # fmt: skip


# ---------------------------------------------------------------- what a difference can say


F = chainrule.nn.functional
AT_KINKS = {
    "relu": (lambda w: F.relu(w).sum(), "relu at 0 (w[0])", "below"),
    "abs": (lambda w: w.abs().sum(), "abs at 0 (w[0])", "0, between the two"),
    "a tie": (lambda w: w.max(), "a tie of max (w[0])", "0.5, between the two"),
    "a clamp": (lambda w: w.clamp(min=0).sum(), "a border of <", "above"),
    "leaky relu": (lambda w: F.leaky_relu(w).sum(), "a border of >", "below"),
}


def of_two(f, *values):
    w = chainrule.tensor(values, dtype=chainrule.float64, requires_grad=True)
    return lambda entry: explain(lambda: f(w), entry, {"w": w})


@pytest.mark.parametrize("name", AT_KINKS)
def test_at_a_kink_no_difference_is_believed(name):
    f, said, side = AT_KINKS[name]
    found = of_two(f, 0.0, 0.0)("w[0]")
    text = " ".join(found.text().split())
    assert found.holds
    assert f"the point is a kink, {said}" in text
    assert f"the rule takes {'the one from ' * (',' not in side)}{side}" in text
    assert "1 at a kink" in " ".join(of_two(f, 0.0, 1.0)("w").text().split()) or name == "a tie"


def test_a_kink_beside_the_point_is_none():
    assert "kink" not in of_two(lambda w: F.relu(w).sum(), 1e-4, -1e-4)("w[0]").text()


def test_a_gradient_below_what_a_difference_sees_has_no_tick():
    explained = of_two(lambda w: (w**3).sum(), 1e-9, 1.0)
    found = explained("w[0]")
    line = found.derivation.sections[-1].lines[-1]
    assert found.holds
    assert line.note.startswith("too small to be checked by a difference")
    assert "✔" not in line.note
    whole = " ".join(explained("w").text().split())
    assert "1 of 2 gradients agrees with finite differences" in whole
    assert "1 too small to be checked by a difference" in whole


def test_a_wrong_rule_is_not_excused():
    """Neither as a kink nor as too small: half the slope is a cross."""
    for want, verdict in ((3.0, "agrees"), (1.5, "differs"), (0.0, "differs"), (-3.0, "differs")):
        found = differences.measured(lambda by: (1 + by) ** 3, 1.0, want, 3.0, 1e-15)
        assert found.verdict == verdict
    for want, verdict in ((-1.0, "kink"), (1.0, "kink"), (0.3, "kink"), (1.2, "differs")):
        assert differences.measured(abs, 0.0, want, 1.0, 1e-16).verdict == verdict
