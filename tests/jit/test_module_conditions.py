"""What a program relies on of modules, and what makes it be recorded again."""

from __future__ import annotations

import chainrule
from chainrule import nn


def step_of(model):
    @chainrule.compile
    def step(x):
        model.zero_grad()
        model(x).sum().backward()
        return model.weight.grad

    return step


class Scaled(nn.Linear):
    scale = 1.0

    def forward(self, x):
        return super().forward(x) * self.scale


def test_a_hook_on_a_parameter():
    step, x = step_of(model := nn.Linear(2, 1)), chainrule.ones(1, 2)
    assert step(x).tolist() == [[1.0, 1.0]]
    handle = model.weight.register_hook(lambda g: g * 2)
    assert step(x).tolist() == [[2.0, 2.0]]
    handle.remove()
    assert step(x).tolist() == [[1.0, 1.0]]
    assert step.explain_recompiles()[0] == "weight has other hooks"


def test_an_attribute_that_hides_one_of_the_class():
    step, x = step_of(model := Scaled(2, 1)), chainrule.ones(1, 2)
    assert step(x).tolist() == [[1.0, 1.0]]
    model.scale = 3.0
    assert step(x).tolist() == [[3.0, 3.0]]
    assert step.explain_recompiles() == ["scale of Scaled is new"]
