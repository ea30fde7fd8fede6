"""step.loop: the same numbers as the steps by hand, whatever moves from step to step."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import ArgumentError, ArgumentTypeError, IndexRangeError, ShapeError
from chainrule.optim.lr_scheduler import CosineAnnealingLR

RNG = np.random.default_rng(5)
pytestmark = pytest.mark.native
X, Y = RNG.normal(size=(50, 6)).astype(np.float32), RNG.integers(0, 3, 50)


@pytest.fixture(autouse=True, params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request, on_all_threads):
    before = chainrule.get_num_threads()
    chainrule.set_num_threads(request.param)
    yield
    chainrule.set_num_threads(before)


class Case:
    """A small model with dropout and momentum, from one seed."""

    def __init__(self):
        chainrule.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Dropout(0.25), nn.Linear(9, 3))
        self.optimizer = optim.SGD(self.model.parameters(), lr=0.1, momentum=0.5)
        self.loss = nn.CrossEntropyLoss()
        self.compiled = chainrule.compile(self.step)

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def by_hand(self, order, size, scheduler=None):
        losses = []
        if scheduler is None or not scheduler.last_epoch:
            chainrule.manual_seed(3)
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            batch = chainrule.tensor(X[rows]), chainrule.tensor(Y[rows])
            losses.append(self.compiled(*batch).item())
            if scheduler is not None:
                scheduler.step()
        return np.array(losses, np.float32)

    def loop(self, *args, **kwargs):
        chainrule.manual_seed(3)
        return np.asarray(self.compiled.loop(*args, **kwargs))

    def weights(self):
        return [np.array(p.detach()) for p in self.model.parameters()]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.weights(), b.weights(), strict=True))


def test_batches_in_a_row_and_a_smaller_last_one():
    a, b = Case(), Case()
    wanted = a.by_hand(np.arange(50), 16)
    found = b.loop((X, Y), batch_size=16)
    assert np.array_equal(found, wanted)
    assert same(a, b)
    assert b.compiled.traces == 2  # the smaller batch is a program of its own


def test_rows_in_any_order_for_several_epochs():
    order = np.stack([np.random.default_rng(e).permutation(50) for e in range(3)])
    a, b = Case(), Case()
    wanted = a.by_hand(order[:, :40].reshape(-1), 8)
    found = b.loop((X, Y), 8, order[:, :40], 3)
    assert np.array_equal(found, wanted)
    assert same(a, b)


def test_a_schedule_is_stepped_after_every_step():
    a, b = Case(), Case()
    first, second = CosineAnnealingLR(a.optimizer, 30), CosineAnnealingLR(b.optimizer, 30)
    wanted = np.concatenate([a.by_hand(np.arange(50), 10, first) for _ in range(4)])
    found = b.loop((X, Y), 10, epochs=4, scheduler=second)
    assert np.array_equal(found, wanted)
    assert same(a, b)
    assert first.state_dict() == second.state_dict()
    assert a.optimizer.param_groups[0]["lr"] == b.optimizer.param_groups[0]["lr"]
    assert b.compiled.traces == 1


def test_only_the_first_step_after_an_emptied_state_is_a_first_step():
    found = []
    for together in (False, True):
        case = Case()
        case.optimizer.param_groups[0]["dampening"] = 0.5  # which a first step leaves out
        case.loop((X, Y), 10, epochs=2)  # by now it is known how many steps a turn has
        case.optimizer.state.clear()
        if together:
            case.loop((X, Y), 10, epochs=2)
        else:
            case.by_hand(np.tile(np.arange(50), 2), 10)
        found.append(case)
    assert same(*found)


def test_shuffle_follows_the_seed_and_visits_every_row():
    seen = chainrule.compile(lambda x: x + 0)
    chainrule.manual_seed(8)
    rows = np.asarray(seen.loop(np.arange(12), 4, epochs=2, shuffle=True)).reshape(2, 12)
    assert (np.sort(rows, 1) == np.arange(12)).all()
    assert not np.array_equal(rows[0], rows[1])
    chainrule.manual_seed(8)
    again = np.asarray(seen.loop(np.arange(12), 4, epochs=2, shuffle=True)).reshape(2, 12)
    assert np.array_equal(rows, again)


def test_somebody_may_end_it():
    a = Case()
    turns = []
    found = a.compiled.loop(
        (X, Y), 10, epochs=1000, on_turn=lambda done, steps: turns.append((done, steps)) or True
    )
    assert turns == [(1, 5000)]
    assert len(found) == 1


def test_ctrl_c_ends_it_after_a_whole_step():
    """The weights are those after as many steps as the optimizer has counted."""
    a, b = Case(), Case()
    adam, again = (optim.Adam(c.model.parameters(), lr=1e-3) for c in (a, b))
    a.optimizer, b.optimizer = adam, again
    timer = threading.Timer(0.05, lambda: signal.raise_signal(signal.SIGINT))
    a.loop((X, Y), 10)  # compiled by now
    timer.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        a.compiled.loop((X, Y), 10, epochs=10**7)
    steps = adam.state[a.model[0].weight]["step"]
    assert len(caught.value.results) == steps - 5 > 0  # none of the last turn is lost
    b.loop((X, Y), 10, np.tile(np.arange(50), -(-steps // 5))[: 10 * steps])
    assert same(a, b)


def test_labels_are_looked_at_before_the_first_step():
    a, b = Case(), Case()
    bad = np.where(np.arange(50) == 45, 3, Y)
    with pytest.raises(IndexRangeError, match="class number is out of range"):
        a.compiled.loop((X, bad), 10)
    assert same(a, b)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (ShapeError, {"data": (X, Y[:3])}),
        (ArgumentTypeError, {"data": (X, 3)}),
        (ArgumentError, {"batch_size": 0}),
        (ArgumentTypeError, {"batch_size": 2.5}),
        (ArgumentError, {"epochs": 0}),
        (ArgumentError, {"batch_size": 60, "drop_last": True}),
        (ArgumentError, {"order": [50]}),
        (ArgumentError, {"order": [-1]}),
        (ArgumentTypeError, {"order": [0.5]}),
        (ArgumentError, {"order": [1], "shuffle": True}),
        (ShapeError, {"order": [[1, 2]], "epochs": 2}),
    ],
)
def test_bad_arguments(kind, arguments):
    a, b = Case(), Case()
    with pytest.raises(kind, match="loop: "):
        a.compiled.loop(**{"data": (X, Y), **arguments})
    assert same(a, b)


def test_an_argument_can_not_be_returned_as_it_is():
    with pytest.raises(ArgumentTypeError, match="returns an argument or a parameter as it is"):
        chainrule.compile(lambda x: x).loop(X, 10)


def test_two_tensors_of_one_name():
    """Two groups have a setting and a count each, two modules a weight."""
    chainrule.manual_seed(0)
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = [{"params": [a.weight], "lr": 0.5}, {"params": [b.weight, b.bias], "lr": 0.25}]
    optimizer = optim.Adam(groups)

    @chainrule.compile
    def step(x):
        optimizer.zero_grad()
        loss = (b(a(x)) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    x = RNG.normal(size=(8, 2)).astype(np.float32)
    step.loop(x, 4, epochs=2)
    graph = step.program_for((chainrule.tensor(x[:4]),), _call(x[:4]))[0].graph
    names = [n.name for n in graph.inputs]
    assert len(set(names)) == len(names)
    assert {s["step"] for s in optimizer.state.values()} == {4}


def _call(x):
    from chainrule.jit.arguments import Call

    return Call((chainrule.tensor(x),), {}, frozenset())
