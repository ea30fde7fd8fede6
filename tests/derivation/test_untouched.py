"""What an explanation leaves alone, what carries no gradient, and what can't be explained."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.derivation.models import explain
from derivation.model_cases import by_backward, entry_of, made

F = nn.functional


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


def test_what_the_function_keeps_has_the_value_of_a_call():
    model, loss = made("mse")
    kept = []

    def noting():
        kept.append(loss())
        return kept[-1]

    assert explain(noting, "fc1.weight[0,0]", model).holds
    assert [float(t) for t in kept] == [float(loss())]
    assert not kept[0].requires_grad


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
