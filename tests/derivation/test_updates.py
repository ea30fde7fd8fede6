"""What is said of an optimizer's update is what its step() does, for every optimizer there is."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import nn, optim
from chainrule.derivation.forms import evaluate
from chainrule.derivation.models import explain

OPTIMIZERS = {n: c for n, c in vars(optim).items() if inspect.isclass(c)
              and issubclass(c, optim.Optimizer) and c is not optim.Optimizer}  # fmt: skip
CHOICES = {
    "lr": st.floats(1e-4, 1.0), "momentum": st.sampled_from([0.0, 0.5, 0.9]),
    "dampening": st.sampled_from([0.0, 0.3]), "weight_decay": st.sampled_from([0.0, 0.1]),
    "nesterov": st.booleans(), "maximize": st.booleans(), "amsgrad": st.booleans(),
    "centered": st.booleans(), "eps": st.floats(1e-10, 1e-3), "alpha": st.floats(0.1, 0.99),
    "betas": st.tuples(st.floats(0.0, 0.95), st.floats(0.5, 0.999)),
    "lr_decay": st.sampled_from([0.0, 0.2]), "initial_accumulator_value": st.sampled_from([0.0, 1]),
}  # fmt: skip
"""Every setting that an optimizer may have."""


def settings_of(cls):
    return [n for n in inspect.signature(cls).parameters if n not in ("self", "params")]


def test_every_setting_of_every_optimizer_is_drawn():
    assert OPTIMIZERS
    assert not {n for c in OPTIMIZERS.values() for n in settings_of(c)} - set(CHOICES)


@st.composite
def steps(draw, cls):
    """Settings, how many steps were made before, a clip, a dtype."""
    made = {n: draw(CHOICES[n]) for n in settings_of(cls)}
    if made.get("nesterov") and (not made["momentum"] or made["dampening"]):
        made["nesterov"] = False
    clip = draw(st.sampled_from([None, 0.01, 100.0]))
    return made, draw(st.integers(0, 3)), clip, draw(st.booleans())


def lost_digits(optimizer, weight):
    """How many times its parts the variance of a centered RMSprop is smaller: that much less of it
    is right."""
    state = optimizer.state[weight]
    if "grad_avg" not in state:
        return 1.0
    square, mean = (float(state[n].numpy()[1, 2]) for n in ("square_avg", "grad_avg"))
    return max(1.0, square / max(square - mean**2, 1e-12 * square))


def hold(cls, case):
    made, before, clip, double = case
    chainrule.manual_seed(5)
    model = nn.Linear(3, 2)
    model = model.double() if double else model
    dtype = model.weight.dtype
    x, y = chainrule.randn(4, 3).to(dtype), chainrule.randn(4, 2).to(dtype)
    loss = lambda: nn.functional.mse_loss(model(x), y)  # noqa: E731
    optimizer = cls(model.parameters(), **made)

    def step():
        optimizer.zero_grad()
        loss().backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()

    for _ in range(before):
        step()
    found = explain(loss, "weight[1,2]", model, optimizer=optimizer, clip_grad_norm=clip)
    assert found.holds, found.text()
    d = found.derivation
    rule = next(s for s in d.sections if s.title == "ITS RULE")
    for line in rule.lines:
        np.testing.assert_allclose(evaluate(line.symbols, d.at), line.value, rtol=1e-12, atol=0)
    old = float(model.weight.detach().numpy()[1, 2])
    step()
    new = float(model.weight.detach().numpy()[1, 2])
    assert rule.lines[-1].what == "weight[1,2]′"
    scale = (abs(old) + abs(new)) * lost_digits(optimizer, model.weight)
    np.testing.assert_allclose(rule.lines[-1].value, new, atol=(1e-12 if double else 1e-5) * scale)
    given = next(s for s in d.sections if s.title == "UPDATE")
    assert f"step() of a copy gives {new:.9g}" in given.note


@pytest.mark.parametrize("cls", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_update_is_the_step(cls):
    @settings(max_examples=2, deadline=None)
    @given(steps(cls))
    def one(case):
        hold(cls, case)

    one()


@pytest.mark.slow
@pytest.mark.parametrize("cls", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_many_updates_are_their_steps(cls):
    @settings(max_examples=60, deadline=None)
    @given(steps(cls))
    def one(case):
        hold(cls, case)

    one()


def test_the_step_keeps_what_it_promises_where_it_is_small():
    chainrule.manual_seed(5)
    model = nn.Linear(3, 2)
    x, y = chainrule.randn(4, 3), chainrule.randn(4, 2)
    found = explain(lambda: nn.functional.mse_loss(model(x), y), None, model, lr=1e-5)
    step = next(s for s in found.derivation.sections if s.title == "STEP")
    _, promised, measured = step.lines
    assert promised.value < 0
    np.testing.assert_allclose(measured.value, promised.value, rtol=1e-3)


def test_a_variance_that_nearly_cancels_is_no_fault_of_the_rule():
    """float32 keeps four digits of it: step() is as right as it can be."""
    made = {"lr": 0.5, "alpha": 0.125, "eps": 1e-10, "weight_decay": 0.0, "momentum": 0.0,
            "centered": True, "maximize": True}  # fmt: skip
    cls = OPTIMIZERS["RMSprop"]
    chainrule.manual_seed(5)
    model = nn.Linear(3, 2)
    x, y = chainrule.randn(4, 3), chainrule.randn(4, 2)
    optimizer = cls(model.parameters(), **made)

    def loss():
        return nn.functional.mse_loss(model(x), y)

    for _ in range(2):
        optimizer.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
    found = explain(loss, "weight[1,2]", model, optimizer=optimizer, clip_grad_norm=0.01)
    assert found.holds
