"""Memory and gradients of the user's tensors: what a compiled function leaves in them."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import GradError, ShapeError, TraceError

# ---------------------------------------------------------------- memory


def test_two_tensors_from_outside_that_share_memory():
    array = np.zeros(4, np.float32)
    a, b = chainrule.from_numpy(array), chainrule.from_numpy(array[1:])
    part = a[:2]

    def read(x):
        return a[1:] * b + x

    assert chainrule.compile(read)(chainrule.ones(3)).tolist() == [1, 1, 1]

    def write(x):
        a[1:] += x
        return b * 1.0

    with pytest.raises(TraceError, match=r"(?s)share memory.*a \(4,\) is written.*b \(3,\)"):
        chainrule.compile(write)(chainrule.ones(3))
    assert a.tolist() == [0, 0, 0, 0]

    def through(x):  # a view whose base is known: both ways
        part.mul_(0.0).add_(x)
        y = a * 2.0
        a.add_(1.0)
        return y, part * 1.0

    y, z = chainrule.compile(through)(chainrule.ones(2))
    assert (y.tolist(), z.tolist(), a.tolist()) == ([2, 2, 0, 0], [2, 2], [2, 2, 1, 1])

    cut = a.detach()

    def same_array(x):
        cut.mul_(0.0)
        a[0] += x
        return cut * 1.0

    assert chainrule.compile(same_array)(1.0).tolist() == [1, 0, 0, 0]
    assert a.tolist() == [1, 0, 0, 0]


def test_batches_that_are_views_of_one_tensor():
    data = chainrule.arange(12.0).reshape(6, 2)
    step = chainrule.compile(lambda x: x * 1.0)
    for i in (0, 2, 4):
        assert step(data[i : i + 2]).equal(data[i : i + 2])
    assert step.traces == 1

    @chainrule.compile
    def fill(x, row):
        x.mul_(0.0)
        x[0] += 1.0
        return row * 1.0

    fill(data[2:4], data[0])
    assert data[:4].tolist() == [[0, 1], [2, 3], [1, 1], [0, 0]]
    fill(data[4:], data[0])
    assert data[4:].tolist() == [[1, 1], [0, 0]]


def test_memory_that_must_not_be_written():
    array = np.zeros(3)
    array.flags.writeable = False
    w = chainrule.from_numpy(array)
    wide = chainrule.zeros(1).expand(3)
    with pytest.raises(ValueError, match="read-only"):
        chainrule.compile(lambda x: w.add_(x))(1.0)
    with pytest.raises(ShapeError, match="share one place in memory"):
        chainrule.compile(lambda x: wide.add_(x))(1.0)
    add = chainrule.compile(lambda x: x.add_(1.0))
    with pytest.raises(ValueError, match="read-only"):
        add(w)
    add(chainrule.zeros(3, dtype=chainrule.float64))
    with pytest.raises(ValueError, match="read-only"):
        add(w)
    assert array.tolist() == [0, 0, 0]


def test_data_and_detach_are_the_same_memory():
    w = chainrule.ones(2).requires_grad_()

    def f(lr):
        (w * w).sum().backward()
        w.data -= lr * w.grad.data
        w.detach().mul_(2.0)
        w.data = w.data + 1.0
        w.grad = None
        return w * 1.0

    step = chainrule.compile(f)
    memory = w._value
    assert step(0.25).tolist() == [2, 2]
    assert w.tolist() == [2, 2]
    assert step(0.25).tolist() == [3, 3]
    assert w._value is memory
    assert w.grad is None


def test_a_write_is_seen_by_an_eager_backward():
    w = chainrule.ones(2).requires_grad_()
    loss = (w * w).sum()

    @chainrule.compile
    def f():
        with chainrule.no_grad():
            w.mul_(2.0)

    f()
    with pytest.raises(GradError, match=r"(?s)overwritten.*test_jit_memory.py"):
        loss.backward()


def test_the_first_arguments_are_let_go():
    w = chainrule.ones(3).requires_grad_()
    optimizer = optim.SGD([w], 0.1)

    @chainrule.compile
    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    x = chainrule.ones(3)
    gone = weakref.ref(x)
    step(x)
    del x
    gc.collect()
    assert gone() is None


# ---------------------------------------------------------------- gradients


def test_a_gradient_that_was_used_is_not_kept():
    w = chainrule.ones(2).requires_grad_()
    optimizer = optim.SGD([w], 0.5)

    @chainrule.compile
    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        return w.grad

    assert step(chainrule.ones(2)).tolist() == [1, 1]
    with pytest.raises(GradError, match=r"(?s)used this gradient.*test_jit_memory.py"):
        w.grad  # noqa: B018
    optimizer.zero_grad()
    assert w.grad is None
    step(chainrule.ones(2))
    (w * 3.0).sum().backward()
    assert w.grad.tolist() == [3, 3]
    step(chainrule.ones(2))
    w.grad = None
    assert w.grad is None
    assert step.traces == 1


def test_gradients_are_accumulated_over_calls():
    found = []
    for wrapped in (lambda f: f, chainrule.compile):
        chainrule.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = optim.Adam(model.parameters(), 0.1)

        @wrapped
        def accumulate(x, model=model):
            loss = (model(x) ** 2).mean()
            loss.backward()
            return loss

        @wrapped
        def update(optimizer=optimizer):
            optimizer.step()
            optimizer.zero_grad()

        rows = []
        for i in range(6):
            chainrule.manual_seed(i)
            accumulate(chainrule.randn(4, 3))
            rows.append(model.weight.grad.numpy().copy())
            if i % 3 == 2:
                update()
                assert model.weight.grad is None
        found.append([*rows, model.weight.detach().numpy()])
    assert (accumulate.traces, update.traces) == (2, 1)
    assert accumulate.explain_recompiles() == ["a gradient is there that was not"]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_zero_grad_gradients_add_up_as_elsewhere():
    found = []
    for wrapped in (lambda f: f, chainrule.compile):
        w = chainrule.ones(2).requires_grad_()
        optimizer = optim.SGD([w], 0.1)

        @wrapped
        def step(w=w, optimizer=optimizer):
            (w * w).sum().backward()
            optimizer.step()

        for _ in range(4):
            step()
        found.append((w.tolist(), w.grad.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zeros_in_place_of_none(set_to_none):
    found = []
    for wrapped in (lambda f: f, chainrule.compile):
        w = chainrule.ones(2).requires_grad_()
        optimizer = optim.SGD([w], 0.1)

        @wrapped
        def step(x, w=w, optimizer=optimizer):
            optimizer.zero_grad(set_to_none=set_to_none)
            (w * x).sum().backward()
            g = w.grad * 1.0
            optimizer.step()
            return g

        w.grad = chainrule.ones(2)
        found.append([step(chainrule.ones(2) * n).tolist() for n in range(3)] + [w.tolist()])
    assert found[0] == found[1]


def test_hooks_and_kept_gradients():
    def f(x):
        x = x.detach().requires_grad_()
        y = x * 2.0
        y.retain_grad()
        y.register_hook(lambda g: g * 3.0)
        x.register_hook(lambda g: g + 1.0)
        (y * y).sum().backward()
        return x.grad, y.grad

    x = chainrule.tensor([1.0, 2.0])
    for a, b in zip(f(x), chainrule.compile(f)(x), strict=True):
        assert a.equal(b)
