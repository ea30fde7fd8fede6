"""summary(model, input): what it counts, for every module there is; what it leaves alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

import chainrule
from chainrule import nn, summary
from chainrule.errors import ArgumentError, ArgumentTypeError, ChainruleError
from made_modules import MADE, MODULES


def test_every_module_has_a_case():
    assert MADE.keys() == MODULES.keys()


WHOLE = {"class": [1, 0], "column": [[1], [0]]}


def given(shapes):
    return tuple(
        chainrule.tensor(WHOLE[s]) if s in WHOLE else chainrule.rand(*s) * 0.8 + 0.1 for s in shapes
    )


def state(model):
    modes = [m.training for m in model.modules()]
    values = [np.array(t.detach()) for t in (*model.parameters(), *model.buffers())]
    hooks = [len(m._forward_hooks) for m in model.modules()]
    return modes, values, hooks, [p.grad for p in model.parameters()]


@pytest.mark.parametrize("name", MODULES)
def test_it_works_for_every_module_and_changes_none(name):
    make, shapes = MADE[name]
    model = make(MODULES[name])
    before, random = state(model), chainrule.get_rng_state()
    inputs = None if shapes is None else given(shapes)
    drawn = chainrule.get_rng_state()
    found = summary(model, inputs)
    assert (np.asarray(chainrule.get_rng_state()) == np.asarray(drawn)).all()
    after = state(model)
    assert before[0] == after[0]
    assert all((a == b).all() for a, b in zip(before[1], after[1], strict=True))
    assert before[2:] == after[2:]
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert found.memory == sum(t.numel() * t.dtype.itemsize
                               for t in (*model.parameters(), *model.buffers()))  # fmt: skip
    assert len(found.rows) == len(list(model.modules()))
    text, html = str(found), found._repr_html_()
    assert all(row.type in text and row.type in html for row in found.rows)
    if inputs is not None:
        y = model.eval()(*inputs)
        first = y[0] if isinstance(y, tuple) else y
        assert found.rows[0].output[0] == list(first.shape)
    json.dumps(found.as_data(), allow_nan=False)
    assert random is not None


def test_it_counts_what_is_known():
    """A Linear makes B in out multiply-adds, a convolution one a weight and place."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.ReLU(), nn.Flatten(),
                          nn.Linear(8 * 5 * 7, 10, bias=False))  # fmt: skip
    found = summary(model, input_size=(2, 3, 5, 7))
    counts = [r.multiply_adds for r in found.rows]
    assert counts == [None, 2 * 8 * 5 * 7 * 27, None, None, 2 * 280 * 10]
    assert found.multiply_adds == sum(c or 0 for c in counts)
    assert [r.output for r in found.rows][2:] == [[[2, 8, 5, 7]], [[2, 280]], [[2, 10]]]
    assert found.output_memory == 4 * (2 * 280 * 3 + 20)


def test_what_is_shared_is_counted_once():
    layer = nn.Linear(3, 3)
    found = summary(nn.Sequential(layer, nn.ReLU(), layer), input_size=(1, 3))
    assert found.parameters == 12
    assert found.multiply_adds == 18
    assert found.rows[1].calls == 2
    assert found.rows[3].same_as == "0"
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    assert [r.parameters for r in summary(tied).rows] == [0, 12, 3]


def test_frozen_parameters_are_not_learned():
    model = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 1))
    found = summary(model)
    assert (found.parameters, found.learned, found.multiply_adds) == (16, 4, None)
    assert "not run" in str(found)


class Odd(nn.Module):
    """Has parameters of its own, a layer that it never calls, and makes one when it is called."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(chainrule.ones(2, 2))
        self.idle = nn.Linear(7, 7)
        self.calls = 0

    def forward(self, x, *, scale=1.0):
        self.calls += 1
        self.made = nn.Linear(2, 3)
        if x.sum().item() > 0:  # looks at values, as no recording could
            x = x * scale
        return {"y": self.made(x @ self.w), "both": (x, x)}


def test_an_odd_module_runs_as_a_copy():
    model = Odd()
    found = summary(model, {"x": np.ones((4, 2), np.float32), "scale": 2.0})
    assert model.calls == 0
    assert not hasattr(model, "made")
    assert found.rows[0].output == [[4, 3], [4, 2], [4, 2]]
    assert found.rows[0].multiply_adds == 4 * 2 * 2 + 4 * 2 * 3
    assert "not called" in str(found)


def test_hooks_of_the_user_are_not_called():
    model = nn.Linear(2, 2)
    seen = []
    model.register_forward_hook(lambda *a: seen.append(a))
    model.register_forward_pre_hook(lambda *a: seen.append(a))
    summary(model, input_size=(1, 2))
    assert not seen
    model(chainrule.ones(1, 2))
    assert len(seen) == 2


def test_what_does_not_fit_is_said():
    model = nn.Linear(2, 2)
    with pytest.raises(ChainruleError):
        summary(model, input_size=(1, 3))
    with pytest.raises(ArgumentError, match="can't be called"):
        summary(model, (chainrule.ones(1, 2), chainrule.ones(1, 2)))
    with pytest.raises(ArgumentError, match="two ways"):
        summary(model, chainrule.ones(1, 2), input_size=(1, 2))
    with pytest.raises(ArgumentTypeError, match="Module"):
        summary(lambda x: x)
    model.handle = (line for line in "can't be copied")
    with pytest.raises(ArgumentError, match="copied"):
        summary(model, input_size=(1, 2))
    assert summary(model).parameters == 6
