"""step.loop: what can't work is said before the first step, and what is done is not lost."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import (
    ArgumentError,
    ArgumentTypeError,
    ChainruleError,
    RecompileError,
    ShapeError,
)
from chainrule.optim import lr_scheduler

pytestmark = pytest.mark.native
X = np.arange(14, dtype=np.float32).reshape(7, 2)


class Line:
    """One layer and Adam; it counts what it has not been asked for as well."""

    def __init__(self, *layers):
        chainrule.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(2, 2), *layers)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.1)
        self.before = [np.array(p.detach()) for p in self.model.parameters()]
        self.returned = lambda x, y: y.mean()

    @chainrule.compile
    def step(self, x):
        self.optimizer.zero_grad()
        y = self.model(x)
        (y**2).mean().backward()
        self.optimizer.step()
        return self.returned(x, y)

    def untouched(self):
        now = [np.array(p.detach()) for p in self.model.parameters()]
        same = all(np.array_equal(a, b) for a, b in zip(now, self.before, strict=True))
        return same and not self.optimizer.state


def test_results_with_a_row_dimension_and_a_smaller_last_batch():
    a = Line()
    a.returned = lambda x, y: (y.mean(), y)
    with pytest.raises(
        ShapeError, match=r"of another shape[^$]*\(4, 2\)[^$]*\(3, 2\) for result 1"
    ):
        a.step.loop(X, 4, epochs=2)
    assert a.untouched()
    assert a.step.loop(X, 4, drop_last=True)[1].shape == (1, 4, 2)
    double = chainrule.compile(lambda x: x * 2)
    with pytest.raises(ShapeError, match="drop_last=True"):  # a single row is not broadcast
        double.loop(chainrule.ones(5, 2), 2)
    assert double.loop(chainrule.ones(6, 2), 2).shape == (3, 2, 2)


@pytest.mark.parametrize("what", ["argument", "parameter", "buffer"])
def test_what_is_no_result_can_not_be_returned(what):
    a = Line(nn.BatchNorm1d(2))
    kept = {
        "argument": lambda x, y: (y.mean(), x),
        "parameter": lambda x, y: (y.mean(), a.model[0].weight),
        "buffer": lambda x, y: {"loss": y.mean(), "mean": a.model[1].running_mean},
    }
    a.returned = kept[what]
    with pytest.raises(ArgumentTypeError, match=r"as it is[^$]*clone"):
        a.step.loop(X, 4)
    assert a.untouched()


def test_a_clone_of_a_parameter_has_a_row_for_every_step():
    a = Line()
    a.returned = lambda x, y: a.model[0].bias.detach().clone()
    found = np.asarray(a.step.loop(X, 2))
    assert found.shape == (4, 2)
    assert np.array_equal(found[-1], np.asarray(a.model[0].bias.detach()))
    assert not np.array_equal(found[0], found[1])


def test_a_last_batch_that_a_layer_refuses():
    a = Line(nn.BatchNorm1d(2))
    with pytest.raises(ChainruleError, match="ore than 1 value") as caught:
        a.step.loop(X, 2)
    assert "drop_last=True" in str(caught.value)
    assert "DataLoader" not in str(caught.value)
    assert "the last batch of an epoch, of 1 row" in str(caught.value)
    assert a.untouched()
    assert len(a.step.loop(X, 2, drop_last=True)) == 3


def test_the_program_of_the_rest_is_recorded_before_the_first_step():
    a = Line()
    a.step(X[:4])
    before = np.array(a.model[0].weight.detach())
    with pytest.raises(RecompileError), chainrule.assert_no_recompile():
        a.step.loop(X, 4)
    assert np.array_equal(before, np.asarray(a.model[0].weight.detach()))


def test_an_error_says_where_and_keeps_the_losses():
    """The class numbers are computed, so that one is wrong is known in the third step only."""

    @chainrule.compile
    def step(x, y):
        return nn.functional.nll_loss(x, (y * 1.0).long())

    x, y = np.ones((8, 3), np.float32), np.array([0, 1, 2, 0, 5, 0, 0, 0])
    with pytest.raises(ChainruleError, match="ended after 2 of 8, in epoch 1") as caught:
        step.loop((x, y), 2, epochs=2)
    assert np.array_equal(np.asarray(caught.value.results), [-1, -1])


def test_other_errors_keep_the_losses_too():
    a = Line()

    def on_turn(done, steps):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        a.step.loop(X, 2, epochs=1000, on_turn=on_turn)
    steps = a.optimizer.state[a.model[0].weight]["step"]
    assert len(caught.value.results) == steps
    assert f"after {steps} of 4000, in epoch {steps // 4 + 1}" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (ArgumentTypeError, {"data": X.astype(np.float16)}),
        (ArgumentTypeError, {"data": np.array(["a", "b"])}),
        (ArgumentTypeError, {"data": np.array([{}, {}])}),
        (ArgumentTypeError, {"scheduler": "x"}),
        (ArgumentTypeError, {"scheduler": lr_scheduler.LRScheduler}),
        (ArgumentTypeError, {"scheduler": []}),
        (ArgumentTypeError, {"on_turn": 3}),
        (ArgumentTypeError, {"on_turn": lambda done: None}),
        (ArgumentTypeError, {"batch_size": True}),
        (ArgumentTypeError, {"epochs": "3"}),
    ],
)
def test_bad_arguments(kind, arguments):
    a = Line()
    with pytest.raises(kind, match="loop: "):
        a.step.loop(**{"data": X, **arguments})
    assert a.untouched()


def test_schedules_that_need_a_measure_or_stand_in_a_list():
    a = Line()
    with pytest.raises(ArgumentTypeError, match="ReduceLROnPlateau"):
        a.step.loop(X, scheduler=lr_scheduler.ReduceLROnPlateau(a.optimizer))
    with pytest.raises(ArgumentTypeError, match="ChainedScheduler"):
        a.step.loop(X, scheduler=[lr_scheduler.StepLR(a.optimizer, 3)])
    assert a.untouched()


def test_whole_numbers_of_numpy_and_the_epochs_of_an_order():
    total = chainrule.compile(lambda x: x.sum())
    assert len(total.loop(X, np.int64(2), epochs=np.uint8(3))) == 12
    order = [[0, 1], [2, 3], [4, 5]]
    assert np.array_equal(np.asarray(total.loop(X, 2, order)), [6, 22, 38])
    assert len(total.loop(X, 2, order, epochs=2)) == 2
    with pytest.raises(ShapeError, match="4 epochs"):
        total.loop(X, 2, order, epochs=4)


def test_bad_numbers_elsewhere():
    with pytest.raises(ArgumentError, match="programs"):
        chainrule.compile(lambda x: x, programs=0)
    times = chainrule.compile(lambda x, n: x * n)
    for n in (2**63, -(2**63) - 1):
        with pytest.raises(ArgumentError, match="too large"):
            times(chainrule.ones(2), n)
    assert times(chainrule.ones(2), 3).tolist() == [3, 3]
    a = Line()
    a.step(X)
    a.optimizer.param_groups[0]["betas"] = (0.5,)
    with pytest.raises(ArgumentError, match=r"betas must be two[^$]*1 of them"):
        a.step(X)


@pytest.mark.parametrize("kwargs", [{}, {"shuffle": True}, {"epochs": 2}, {"order": [1, 0, 2]}])
@pytest.mark.parametrize("kind", [np.array, chainrule.tensor])
def test_the_data_are_never_written(kind, kwargs):
    """A step that writes into its batch writes into a copy, however the batch is taken."""
    data = kind([1.0, 2.0, 3.0])
    half = chainrule.compile(lambda x: x.mul_(0.5) + 0)
    found = np.asarray(half.loop(data, 1, **kwargs)).reshape(-1)
    assert np.asarray(data).tolist() == [1, 2, 3]
    assert sorted(found) == sorted([0.5, 1, 1.5] * kwargs.get("epochs", 1))
    if not kwargs.get("shuffle"):
        assert np.array_equal(found[:2], [1, 0.5] if "order" in kwargs else [0.5, 1])
