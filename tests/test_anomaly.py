"""detect_anomaly names the first op that goes wrong, forward or backward, compiled or not."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from builds import sharing_builds
from chainrule import nn, optim
from chainrule.errors import ArgumentTypeError, NonFiniteError
from chainrule.ops.core import State, current
from chainrule.tensor.interpreter import apply
from chainrule.train import Trainer


def raised(function, *args):
    with chainrule.detect_anomaly(), pytest.raises(NonFiniteError) as caught:
        function(*args)
    assert current.anomaly is None
    error = caught.value
    assert len(str(error).splitlines()) <= 6
    return error


# ---------------------------------------------------------------- uncompiled


def test_forward_names_op_line_place_and_operands():
    x = chainrule.tensor([[1.0, -2.0, 3.0]])
    error = raised(lambda: (x * 2).log().sum())  # the culprit
    assert error.problem == "detect_anomaly: log made nan"
    assert error.got == "result[0, 1] = nan at x = -4; 1 of 3; x float32[1,3] from -4 to 6"
    assert error.line.startswith("test_anomaly.py:")
    assert "(x * 2).log()" in str(error)


def test_forward_names_the_layer():
    class Root(nn.Module):
        def forward(self, x):
            return chainrule.sqrt(x)

    model = nn.Sequential(nn.Linear(2, 2), Root())
    with chainrule.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1.0)
    error = raised(model, chainrule.ones(3, 2))
    assert error.problem == "detect_anomaly: sqrt made nan"
    assert "Root" in error.layer


def test_an_operation_that_shapes_change_in_tells_the_ranges():
    big = chainrule.full((2, 3), 1e30)
    error = raised(lambda: big @ big.T)
    assert error.problem == "detect_anomaly: matmul made inf"
    assert "4 of 4" in error.got
    assert error.got.count("from 1e+30 to 1e+30") == 2


def test_backward_names_the_forward_op_and_its_line():
    x = chainrule.tensor([4.0, 0.0], requires_grad=True)

    def both():
        root = chainrule.sqrt(x)  # its slope is infinite at 0
        (root * 3.0).sum().backward()

    error = raised(both)
    assert error.problem == "detect_anomaly: the gradient of sqrt is inf"
    assert "gradient[1] = inf at dy = 3" in error.got
    assert "chainrule.sqrt(x)" in str(error)
    assert x.grad is None


def test_a_gradient_of_a_gradient():
    x = chainrule.tensor([0.0], requires_grad=True)

    def both():
        (g,) = chainrule.autograd.grad((x**1.5).sum(), x, create_graph=True)
        g.sum().backward()

    assert "is inf" in raised(both).problem


def test_what_was_masked_is_no_anomaly():
    scores = chainrule.randn(2, 3, requires_grad=True)
    mask = chainrule.tensor([[True, False, True], [True, True, True]])
    with chainrule.detect_anomaly():
        p = chainrule.softmax(chainrule.where(mask, scores, -float("inf")), 1)
        (p * p).sum().backward()
        x = chainrule.tensor([4.0, 0.0], requires_grad=True)
        chainrule.where(x > 0, chainrule.sqrt(x), 0.0).sum().backward()
    assert np.isfinite(scores.grad.numpy()).all()
    infinite = chainrule.full((2,), float("inf"))
    assert raised(lambda: infinite - infinite).problem == "detect_anomaly: sub made nan"


def test_what_came_in_is_named_when_backward_starts():
    x = chainrule.tensor([1.0, float("nan")])
    w = chainrule.ones(2, requires_grad=True)

    def both():
        (x * w).sum().backward()

    error = raised(both)
    assert error.problem == "detect_anomaly: backward starts at a value that is not finite"
    assert "it came in with the operands of mul at test_anomaly.py:" in error.got


# ---------------------------------------------------------------- the switch


def test_the_switch():
    x = chainrule.zeros(2)
    for module in (chainrule, chainrule.autograd):
        module.set_detect_anomaly(True)
        with pytest.raises(NonFiniteError):
            x.log()
        module.set_detect_anomaly(False)
        x.log()
        with module.set_detect_anomaly(True), pytest.raises(NonFiniteError):
            x.log()
        with module.detect_anomaly(), module.set_detect_anomaly(False):
            x.log()
        with module.detect_anomaly(check_nan=False):
            x.log()
    nested = chainrule.detect_anomaly()
    with nested, nested:
        pass
    assert current.interpreter is current.tensors is State.interpreter is apply

    def inside(x):
        with chainrule.detect_anomaly():
            return x

    with pytest.raises(ArgumentTypeError, match="not within a compiled function"):
        chainrule.compile(inside)(x)


# ---------------------------------------------------------------- compiled steps


class Case:
    """A step with everything that has state."""

    def __init__(self):
        chainrule.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.25))
        self.model.append(nn.Linear(4, 1))
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.1)
        self.step = chainrule.compile(self.steps)

    def steps(self, x, scale):
        self.optimizer.zero_grad()
        y = self.model(x)
        loss = (chainrule.log(y * y + scale)).mean()  # the culprit
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self):
        held = dict(self.model.state_dict())
        slots = [v for s in self.optimizer.state_dict()["state"].values() for v in s.values()]
        return [np.array(v) for v in (*held.values(), *slots, chainrule.get_rng_state())]


@pytest.fixture(scope="module", autouse=True)
def shared_builds():
    with sharing_builds():
        yield


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("first", [0, 2])
def test_a_compiled_step_is_put_back_and_explained(first):
    case, x = Case(), chainrule.randn(5, 3)
    for _ in range(first):
        case.step(x, 1.0)
    before = case.state()
    error = raised(case.step, x, -1e3)
    assert error.problem == "detect_anomaly: log made nan"
    assert "chainrule.log(y * y + scale)" in str(error)
    assert same(case.state(), before)
    assert bool(case.optimizer.state) is bool(first)
    with chainrule.detect_anomaly():
        case.step(x, 1.0)
    after = case.state()
    plain = Case()
    chainrule.randn(5, 3)
    for _ in range(first + 1):
        plain.step(x, 1.0)
    assert same(after, plain.state()), "watched or not: the same bits"


def test_an_update_that_overflows_is_put_back():
    w = chainrule.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=1e30)

    @chainrule.compile
    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    error = raised(step, chainrule.tensor([1e30]))
    assert "w of a compiled function is not finite" in error.problem
    assert w.item() == 1.0


def test_a_mask_that_a_compiled_function_returns():
    f = chainrule.compile(lambda x: chainrule.where(x > 0, x, -float("inf")))
    x = chainrule.tensor([1.0, -1.0])
    with chainrule.detect_anomaly():
        assert f(x).tolist() == [1.0, -float("inf")]


def test_a_loop_is_watched_step_by_step():
    case = Case()
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    scale = np.ones((12, 1), np.float32)
    with chainrule.detect_anomaly():
        found = case.step.loop((x, scale), 4, epochs=2)
    other = Case()
    wanted = other.step.loop((x, scale), 4, epochs=2)
    assert np.array_equal(found, wanted)
    assert same(case.state(), other.state())
    scale[9] = -1e3
    error = raised(lambda: case.step.loop((x, scale), 4))
    assert error.problem == "detect_anomaly: log made nan"
    one = Case()
    one.step.loop((x, np.ones((12, 1), np.float32)), 4, epochs=2)
    one.step.loop((x[:8], scale[:8]), 4)
    assert same(case.state(), one.state()), "the two steps before it were made"


@pytest.mark.parametrize("compile", [True, False])
def test_a_trainer_is_watched(compile):
    class Log(nn.Module):
        def forward(self, x):
            return chainrule.log(x + self.shift)

        shift = 10.0

    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), Log())
    optimizer = optim.Adam(model.parameters(), 0.01)
    t = Trainer(model, nn.CrossEntropyLoss(), optimizer, compile=compile, seed=0, ema=0.5)
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    y = np.arange(12) % 3
    with chainrule.detect_anomaly():
        t.fit((x, y), epochs=1, batch_size=4)
    model[2].shift = -10.0
    before = {k: np.array(v) for k, v in model.state_dict().items()}
    step = t.step
    error = raised(lambda: t.fit((x, y), epochs=1, batch_size=4))
    assert error.problem == "detect_anomaly: log made nan"
    assert "Log" in error.layer
    assert "chainrule.log(x + self.shift)" in str(error)
    assert t.step == step
    assert all(np.array_equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p._grad is None for p in model.parameters())


def test_a_number_can_be_an_operand():
    error = raised(lambda: chainrule.tensor(3e38) * 1e30)
    assert "result = inf" in error.got
    assert "3e+38" in error.got
    assert "1e+30" in error.got
