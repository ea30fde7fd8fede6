"""Derivations on models: every line comes out, and the whole is what backward() gives."""

from __future__ import annotations

import itertools
import json
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.derivation.elements import Place
from chainrule.derivation.forms import Leaf, evaluate
from chainrule.derivation.models import explain
from chainrule.derivation.models.cancelled import DerivationError
from chainrule.derivation.models.program import Program
from chainrule.derivation.models.recording import record
from chainrule.ops.core import quietly
from derivation.make_golden import GOLDEN, MODELS, model_text
from derivation.model_cases import CASES, FAST, made

F = nn.functional


def entry_of(name, at):
    return f"{name}[{','.join(map(str, at))}]" if at else name


def entries(gradients, count=2):
    """(parameter, index): of each parameter the largest gradient, and one at random."""
    rng = np.random.default_rng(0)
    for name, g in gradients.items():
        flat = [int(np.abs(g).argmax()), *rng.integers(0, g.size, count - 1)]
        for i in dict.fromkeys(flat):
            yield name, tuple(int(k) for k in np.unravel_index(i, g.shape))


def by_backward(model, loss):
    """The gradients that an ordinary step computes, by name."""
    state = chainrule.get_rng_state()
    loss().backward()
    chainrule.set_rng_state(state)
    found = {n: p.grad.numpy().copy() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


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


# ---------------------------------------------------------------- what no gradient flows through


def frozen_target(m, x, w):
    with chainrule.no_grad():
        target = m(x).amax(1)
    return F.mse_loss(m(x)[:, 0], target)


def straight_through(m, x, w):
    h = m(x)
    return ((h + (chainrule.round(h) - h).detach()) ** 2).mean()


def gradient_inside(m, x, w):
    (g,) = chainrule.autograd.grad((m.fc1.weight**2).sum(), m.fc1.weight)
    return m(x).mean() * g.sum()


CUT = {
    "a target without gradient": frozen_target,
    "straight through": straight_through,
    "a gradient as a number": gradient_inside,
    "detached": lambda m, x, w: (m(x) * m(x).detach()).mean(),
    "data first": lambda m, x, w: m.out.weight.data.sum() * m(x).mean(),
    "detached before": lambda m, x, w: w.sum() * m(x).mean(),
    "a detached view": lambda m, x, w: (m(x)[:, 0] * m(x).detach()[:, 1]).sum(),
}


@pytest.mark.parametrize("name", CUT)
def test_what_is_detached_carries_nothing(name):
    chainrule.manual_seed(2)
    parts = OrderedDict(fc1=nn.Linear(3, 4), act=nn.Tanh(), out=nn.Linear(4, 2))
    model = nn.Sequential(parts).double()
    x = chainrule.randn(5, 3, dtype=chainrule.float64)
    outside = model.out.weight.detach()
    loss = lambda: CUT[name](model, x, outside)  # noqa: E731
    wanted = by_backward(model, loss)
    for entry, at in (("out.weight", (1, 3)), ("fc1.weight", (1, 2))):
        for way in (loss, loss()):
            found = explain(way, entry_of(entry, at), model)
            np.testing.assert_allclose(found.value, wanted[entry][at], rtol=1e-10, atol=1e-14)
            assert found.holds, found.text()


# ---------------------------------------------------------------- nothing is touched


def state_of(model):
    held = {n: t.numpy().copy() for n, t in model.state_dict().items()}
    grads = {n: None if p.grad is None else p.grad.numpy().copy()
             for n, p in model.named_parameters()}  # fmt: skip
    return held, grads, chainrule.get_rng_state().numpy().copy(), model.training


def same(a, b):
    np.testing.assert_equal(a, b)


@pytest.mark.parametrize("by", ["function", "loss"])
def test_nothing_of_the_users_changes(by):
    model, loss = made("image")
    with chainrule.no_grad():
        model.out.bias.grad = chainrule.ones(3)
    computed = loss()
    before = state_of(model)
    seen = []

    def noting():
        seen.append(1)
        model.training = model.training
        return loss()

    optimizer = chainrule.optim.Adam(model.parameters(), lr=0.1)
    given = noting if by == "function" else computed
    explain(given, "out.weight[1,1]", model, optimizer=optimizer, clip_grad_norm=0.5)
    same(before, state_of(model))
    assert not optimizer.state
    assert optimizer.param_groups[0]["lr"] == 0.1
    computed.backward()  # and the graph is as it was
    assert model.out.weight.grad is not None


@pytest.mark.parametrize("keep", [True, False])
def test_a_whole_training_step_can_be_explained_and_is_not_made(keep):
    model, loss = made("mse")
    optimizer = chainrule.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    before = state_of(model)

    def step():
        value = loss()
        value.backward(retain_graph=keep)
        optimizer.step()
        return value

    assert explain(step, "fc1.weight[0,0]", model).holds
    same(before, state_of(model))
    assert not optimizer.state


# ---------------------------------------------------------------- what is refused

REFUSED = {
    "no such parameter": ("fc9.weight[0]", "fc1.weight, fc1.bias"),
    "no such entry": ("fc1.weight[9,9]", "up to [4,3]"),
    "too few indices": ("fc1.weight[1]", "2 indices"),
    "an entry of a layer": ("fc1[0]", "fc1.weight[0,0]"),
    "nothing": ("", "such as"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_entry_that_is_not_there_is_refused(name):
    model, loss = made("mse")
    entry, words = REFUSED[name]
    with pytest.raises(chainrule.errors.ChainruleError) as error:
        explain(loss, entry, model)
    assert words in str(error.value)


def unused(model, loss):
    model.extra = nn.Parameter(chainrule.ones(1))
    return explain(loss, "extra[0]", model)


def frozen(model, loss):
    model.fc1.weight.requires_grad_(False)
    return explain(loss, "fc1.weight[0,0]", model)


def freed(model, loss):
    value = loss()
    value.backward()
    return value.explain("fc1.weight[0,0]")


def stepped(model, loss):
    value = loss()
    with chainrule.no_grad():
        model.fc1.weight.mul_(0.5)
    return value.explain("fc1.weight[0,0]")


def foreign(model, loss):
    other = chainrule.optim.SGD([chainrule.ones(1).requires_grad_()], lr=0.1)
    return explain(loss, "fc1.weight[0,0]", model, optimizer=other)


WRONG = {
    "an unused parameter": (unused, "no gradient for 'extra'"),
    "a loss that went backward": (freed, "before backward()"),
    "a parameter that was stepped since": (stepped, "overwritten since"),
    "an optimizer of another model": (foreign, "does not update"),
    "no loss": (lambda m, f: explain(3.0), "needs a loss"),
    "not a number": (lambda m, f: explain(lambda: m(chainrule.ones(2, 4))), "one number"),
    "arguments": (lambda m, f: explain(lambda x: x), "without arguments"),
    "a look at a value": (lambda m, f: explain(lambda: f() * float(f())), "not known"),
    "a frozen parameter": (frozen, "it is frozen"),
    "no lr": (lambda m, f: explain(f, lr=float("nan")), "lr must be a finite number"),
    "no clip": (lambda m, f: explain(f, clip_grad_norm=0), "clip_grad_norm must be"),
    "no top": (lambda m, f: explain(f, top=0), "at least 1"),
    "names of nothing": (lambda m, f: explain(f, model=3), "gives the names"),
    "no gradient": (lambda m, f: explain(lambda: f().detach()), "require grad"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_can_not_be_explained_says_why(name):
    model, loss = made("mse")
    before = state_of(model)
    call, words = WRONG[name]
    with pytest.raises(chainrule.errors.ChainruleError) as error:
        call(model, loss)
    assert words in str(error.value)
    if name in ("a look at a value", "not a number"):
        same(before, state_of(model))


# ---------------------------------------------------------------- how it is shown


@pytest.mark.parametrize("name", [
    pytest.param(n, marks=[] if n in ("update", "layer") else pytest.mark.slow) for n in MODELS
])  # fmt: skip
def test_the_text_of_a_model(name):
    assert model_text(name) == (GOLDEN / f"model-{name}.txt").read_text(encoding="utf-8")


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
