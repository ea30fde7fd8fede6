"""What backward() and grad() mean: PyTorch's semantics, as expectations worked out by hand."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.autograd import grad
from chainrule.errors import GradError

f64 = chainrule.float64


def leaf(*values):
    data = values[0] if len(values) == 1 else list(values)
    return chainrule.tensor(data, dtype=f64, requires_grad=True)


# ---------------------------------------------------------------- accumulation and freeing


def test_gradients_add_up_until_they_are_dropped():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    first = x.grad
    (x * 3.0).sum().backward()
    assert x.grad is first  # added in place, as PyTorch does
    assert x.grad.tolist() == [5, 7]
    x.grad = None
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_a_second_backward_names_the_first_place():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError) as caught:
        y.backward()
    text = str(caught.value)
    line = caught.traceback[0].lineno
    assert f"first backward at test_backward.py:{line - 1}" in text
    assert "retain_graph=True" in text
    assert len(text.splitlines()) <= 6
    assert x.grad.tolist() == [2, 4]


def test_retain_graph_and_graphs_without_saved_values():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    z = (x + 1.0).sum()  # nothing was saved, so nothing was freed
    z.backward()
    z.backward()
    assert x.grad.tolist() == [6, 10]


def test_the_graph_is_freed_by_backward():
    x = leaf(*np.ones(50))
    h = x.exp()
    held = weakref.ref(h._value)
    y = (h * h).sum()
    del h
    assert held() is not None
    y.backward()
    assert held() is None, "backward leaves no saved value behind"
    node = weakref.ref(y)
    del y
    assert node() is None, "no reference cycle keeps a graph alive"


def test_nothing_of_a_step_waits_for_the_garbage_collector():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    x = chainrule.randn(8, 4)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(20):
            model.zero_grad()
            model(x).sum().backward()
        assert len(gc.get_objects()) - before < 60
    finally:
        gc.enable()


def test_two_leaves_never_share_a_gradient():
    for create_graph in (False, True):
        a, b, c = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
        seed = chainrule.ones(2, dtype=f64)
        (a + b + c.reshape(2)).backward(seed, create_graph=create_graph)
        grads = [t.grad._value for t in (a, b, c)] + [seed._value]
        for i, g in enumerate(grads):
            for other in grads[i + 1 :]:
                assert not np.shares_memory(g, other)
        with chainrule.no_grad():
            a.grad.mul_(100.0)
        assert b.grad.tolist() == [1, 1]
        assert seed.tolist() == [1, 1]


def test_a_leaf_that_is_the_output_itself():
    x = leaf(2.0)
    x.backward()
    assert x.grad.tolist() == 1
    assert grad(x, x)[0].tolist() == 1


# ---------------------------------------------------------------- depth


@pytest.mark.parametrize("length", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_long_chain(length):
    """No recursion: neither going backward nor letting go of the graph."""
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = y * 1.0
    y.backward()
    assert x.grad.tolist() == 1
    del y
    y = x
    for _ in range(length):
        y = y + x
    del y


def test_many_paths_are_one_sweep():
    """2^60 paths from x to y, 60 nodes: each is visited once."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad.tolist() == 2.0**60


# ---------------------------------------------------------------- hooks and kept gradients


def test_hooks_see_replace_and_leave():
    x = leaf(1.0, 2.0)
    h = x * 2.0
    seen = []
    looking = h.register_hook(lambda g: seen.append(g.tolist()))
    doubling = h.register_hook(lambda g: g * 2)
    on_leaf = x.register_hook(lambda g: g + 1)
    h.retain_grad()
    (h * h).sum().backward(retain_graph=True)
    assert seen == [[4, 8]]
    assert h.grad.tolist() == [8, 16]
    assert x.grad.tolist() == [17, 33]
    for handle in (looking, doubling, on_leaf, on_leaf):
        handle.remove()
    x.grad = None
    (h * 1.0).sum().backward()
    assert x.grad.tolist() == [2, 2]
    assert len(seen) == 1


def test_a_hook_runs_once_when_everything_has_arrived():
    x, calls = leaf(3.0), []
    x.register_hook(lambda g: calls.append(g.item()))
    (x * x + x * 2.0).backward()
    assert calls == [8.0]


def test_a_hook_must_return_a_gradient_that_fits():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(TypeError, match="gradient of the same shape"):
        (x * x).sum().backward()
    assert x.grad is None
    constant = chainrule.ones(2)
    with pytest.raises(RuntimeError, match="does not require grad"):
        constant.register_hook(print)
    with pytest.raises(RuntimeError, match="does not require grad"):
        constant.retain_grad()


def test_grad_of_a_non_leaf_needs_retain_grad():
    x = leaf(1.0, 2.0)
    h = x * x
    with pytest.raises(RuntimeError, match="retain_grad"):
        _ = h.grad
    h.retain_grad()
    h.sum().backward()
    assert h.grad.tolist() == [1, 1]
    x.retain_grad()  # nothing to do for a leaf


def test_retain_grad_follows_an_in_place_write():
    x = leaf(1.0, 2.0)
    y = x * 1.0
    y.retain_grad()
    y.mul_(3.0)
    (y * y).sum().backward()
    assert y.grad.tolist() == [6, 12]


# ---------------------------------------------------------------- detach and modes


def test_detach_shares_memory_and_stops_the_gradient():
    x = leaf(1.0, 2.0)
    h = x * 2.0
    d = h.detach()
    assert not d.requires_grad
    assert np.shares_memory(d._value, h._value)
    (h * d).sum().backward()
    assert x.grad.tolist() == [4, 8]
    assert (x * 2.0).detach_().is_leaf
    with pytest.raises(RuntimeError, match="detach_"):
        h[0].detach_()


def test_the_modes_nest_and_decorate():
    x = leaf(1.0)

    @chainrule.no_grad()
    def off():
        return x * 2

    @chainrule.no_grad
    def plain():
        return x * 2

    @chainrule.enable_grad()
    def on():
        return x * 2

    @chainrule.set_grad_enabled(False)
    def by_flag():
        return x * 2

    assert chainrule.is_grad_enabled()
    assert [f().requires_grad for f in (off, plain, on, by_flag)] == [False, False, True, False]
    with chainrule.no_grad():
        assert on().requires_grad
        with chainrule.enable_grad():
            assert (x * 2).requires_grad
            assert not off().requires_grad
        assert not chainrule.is_grad_enabled()
        with chainrule.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not chainrule.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), chainrule.no_grad():
        raise ZeroDivisionError
    assert chainrule.is_grad_enabled()
    chainrule.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    chainrule.set_grad_enabled(True)
    mode = chainrule.no_grad()
    with mode, mode:
        assert not chainrule.is_grad_enabled()
    assert chainrule.is_grad_enabled()
    assert off.__name__ == "off"


def test_gradients_that_nobody_wants_are_not_computed():
    x, c = leaf(1.0, 2.0), chainrule.ones(2, dtype=f64)
    y = x * c
    assert y.grad_fn.edges[1] is None
    y.sum().backward()
    assert c.grad is None
    x.requires_grad_(False)
    assert not (x * 2).requires_grad
    with pytest.raises(RuntimeError, match="requires_grad_"):
        y.requires_grad_(False)


# ---------------------------------------------------------------- grad()


def test_higher_orders():
    """d^n/dx^n of x^5, and of sin, by calling grad on what grad gave."""
    x = leaf(2.0)
    y, wanted = x**5, [80.0, 160.0, 240.0, 240.0, 120.0, 0.0]
    for value in wanted:
        (y,) = grad(y, x, create_graph=True, materialize_grads=True)
        assert y.item() == value
        if not y.requires_grad:
            break
    y = x.sin()
    for f in (np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v), np.sin):
        (y,) = grad(y, x, create_graph=True)
        np.testing.assert_allclose(y.item(), f(2.0), rtol=1e-15)


def test_backward_with_create_graph():
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    g = x.grad
    assert g.requires_grad
    x.grad = None
    g.backward()
    assert x.grad.item() == 18.0


def test_a_gradient_penalty():
    """A loss that holds a gradient: d/dw (d(w x^2)/dx)^2 = 8 w x^2."""
    x, w = leaf(3.0), leaf(2.0)
    (g,) = grad(w * x * x, x, create_graph=True)
    (g * g).backward()
    assert w.grad.item() == 8 * 2 * 9


def test_unused_inputs():
    """BADINPUT row 18."""
    x, z = leaf(1.0, 2.0), leaf(3.0)
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match=r"index 1\) appears to not have been used") as caught:
        grad(y, (x, z))
    assert len(str(caught.value).splitlines()) <= 6
    y = (x * x).sum()
    gx, gz = grad(y, (x, z), allow_unused=True)
    assert gx.tolist() == [2, 4]
    assert gz is None
    y = (x * x).sum()
    _, gz = grad(y, (x, z), materialize_grads=True)
    assert gz.tolist() == 0
    assert x.grad is None


def test_grad_at_non_leaves_and_several_outputs():
    x = leaf(1.0, 2.0)
    h = x * 3.0
    y, z = (h * h).sum(), h * 2.0
    gh, gx = grad((y, z), (h, x), (None, chainrule.ones(2, dtype=f64)))
    assert gh.tolist() == [8, 14]
    assert gx.tolist() == [24, 42]
    with pytest.raises(RuntimeError, match="input 0 does not require grad"):
        grad((x * x).sum(), chainrule.ones(2))


def test_backward_to_some_inputs_only():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    h = x * w
    (h * h).sum().backward(inputs=[w])
    assert x.grad is None
    assert w.grad.tolist() == [6, 32]
    with pytest.raises(ValueError, match="empty list"):
        (x * w).sum().backward(inputs=[])


def test_backward_of_several_tensors():
    x = leaf(1.0, 2.0)
    chainrule.autograd.backward([(x * x).sum(), x * 1.0], [None, chainrule.ones(2, dtype=f64)])
    assert x.grad.tolist() == [3, 5]


def test_recording_is_set_by_a_flag():
    for call in (lambda: chainrule.set_grad_enabled(False),
                 lambda: chainrule.set_grad_enabled(mode=False)):  # fmt: skip
        with call():
            assert not chainrule.is_grad_enabled()
        assert chainrule.is_grad_enabled()


# ---------------------------------------------------------------- threads


def test_the_grad_mode_belongs_to_the_thread():
    seen = []
    with chainrule.no_grad():
        thread = threading.Thread(target=lambda: seen.append(chainrule.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_two_threads_train_at_once():
    """Each has its own model and gets the bits that it gets alone."""

    def train(seed: int, out: dict[int, bytes]) -> None:
        rng = np.random.default_rng(seed)
        w = chainrule.tensor(rng.normal(size=(6, 6)), requires_grad=True)
        x = chainrule.tensor(rng.normal(size=(16, 6)))
        for _ in range(150):
            loss = ((x @ w).tanh() ** 2).mean()
            loss.backward()
            with chainrule.no_grad():
                w -= 0.1 * w.grad
            w.grad = None
        out[seed] = w.detach().numpy().tobytes()

    alone: dict[int, bytes] = {}
    for seed in (1, 2):
        train(seed, alone)
    together: dict[int, bytes] = {}
    threads = [threading.Thread(target=train, args=(s, together)) for s in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert together == alone


def test_one_graph_goes_backward_in_another_thread():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    thread = threading.Thread(target=y.backward)
    thread.start()
    thread.join()
    assert x.grad.tolist() == [2, 4]


def test_an_error_in_the_middle_leaves_the_gradients_alone():
    x, w = leaf(1.0, 2.0), leaf(1.0, 1.0)
    h = x.exp()
    y = (h * w).sum() + (w * 2).sum()
    h.detach().add_(1.0)
    with pytest.raises(GradError):
        y.backward()
    assert x.grad is None
    assert w.grad is None
