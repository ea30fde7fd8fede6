"""Compiled steps give the numbers of eager ones: every layer, loss, function and optimizer."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from chainrule import nn
from chainrule.errors import TraceError
from chainrule.graph import verify
from frozen import _weighted_sum

TESTS = Path(__file__).parents[1]
for folder in ("nn", "functional", "optim", "tensor"):
    sys.path.append(str(TESTS / folder))

import functional_cases  # noqa: E402
import layer_cases  # noqa: E402
import module_cases  # noqa: E402
import nn_cases  # noqa: E402
import optim_cases  # noqa: E402
import programs  # noqa: E402

REFUSED = {"one_hot"}  # its shape depends on values
MADE_INSIDE = {c.name for c in layer_cases.CASES}  # and then their dtype can't be changed
FIRST = {}  # of each layer and function the first case is fast


def marks_of(case, dtype):
    first = FIRST.setdefault(re.split(r"[:( ]", case.name)[0], case.name) == case.name
    return () if first and dtype != "float64" else pytest.mark.slow


CASES = [
    pytest.param(c, d, id=f"{c.name} {d}", marks=marks_of(c, d))
    for c in nn_cases.CASES + module_cases.CLIPS + functional_cases.CASES
    if c.name not in REFUSED
    for d in c.dtypes
    if c.name not in MADE_INSIDE or d == "float32"
]


def derive(case, dtype, tensors):
    """Outputs, gradients and second derivatives."""
    floats = [t for t in tensors if t.requires_grad]
    result = case.run(chainrule, *tensors)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    loss = _weighted_sum(chainrule, outputs, dtype)
    if loss is None:
        return outputs
    grad = chainrule.autograd.grad
    first = grad(loss, floats, create_graph=case.second, allow_unused=True)
    again = _weighted_sum(chainrule, first, dtype) if case.second else None
    second = () if again is None else grad(again, floats, allow_unused=True)
    return [*outputs, *first, *second]


def inputs_of(case, dtype):
    arrays = [np.asarray(x) for x in case.inputs]
    return [
        chainrule.tensor(x.astype(dtype) if x.dtype.kind == "f" else x).requires_grad_(
            x.dtype.kind == "f"
        )
        for x in arrays
    ]


def same(eager, compiled, rtol=0.0):
    assert (eager is None) == (compiled is None)
    if eager is not None:
        assert (eager.shape, eager.dtype) == (compiled.shape, compiled.dtype)
        a, b = eager.detach().numpy(), compiled.detach().numpy()
        np.testing.assert_allclose(b, a, rtol=rtol, atol=0, equal_nan=True)


@pytest.mark.parametrize(("case", "dtype"), CASES)
def test_every_case(case, dtype):
    """Bit for bit, and as many random numbers drawn."""
    eager = derive(case, dtype, inputs_of(case, dtype))
    drawn = chainrule.get_rng_state()
    chainrule.manual_seed(0)
    step = chainrule.compile(lambda *tensors: derive(case, dtype, tensors))
    compiled = step(*inputs_of(case, dtype))
    for kept in step._kept.values():
        verify(kept[0].graph)
    assert chainrule.get_rng_state().equal(drawn)
    assert len(eager) == len(compiled)
    for a, b in zip(eager, compiled, strict=True):
        same(a, b)


# ---------------------------------------------------------------- optimizers


def trained(run, dtype, compiled):
    p = optim_cases.parameters(chainrule, dtype=dtype)
    optimizer = optim_cases.optimizer_of(chainrule, run, p)

    def step(late):
        optimizer.zero_grad()
        loss = optim_cases.loss_of(chainrule, p, 1 if late else 0)
        loss.backward()
        optimizer.step()
        return loss

    f = chainrule.compile(step) if compiled else step
    rows = []
    for t in range(40):
        for group in optimizer.param_groups:
            group.update(run.changes.get(t, {}))
        f(t % 3 == 1)
        rows.append(optim_cases.flat(p))
    return np.array(rows), optimizer.state_dict(), f


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("run", optim_cases.RUNS, ids=lambda run: run.name)
def test_every_optimizer(run, dtype):
    """Whole trajectories with settings that change on the way; the state is the same too.

    float64 differs in the last digit where a power is NumPy's and not Python's.
    """
    rtol = 0.0 if dtype == "float32" else 1e-11
    rows, state, _ = trained(run, dtype, False)
    compiled_rows, compiled_state, step = trained(run, dtype, True)
    np.testing.assert_allclose(compiled_rows, rows, rtol=rtol, atol=rtol)
    assert state["param_groups"] == compiled_state["param_groups"]
    assert state["state"].keys() == compiled_state["state"].keys()
    for number, slots in state["state"].items():
        assert slots.keys() == compiled_state["state"][number].keys()
        for name, value in slots.items():
            other = compiled_state["state"][number][name]
            if name == "step":
                assert type(other) is int
                assert other == value
            else:
                np.testing.assert_allclose(other.numpy(), value.numpy(), rtol=rtol, atol=rtol)
    for kept in step._kept.values():
        verify(kept[0].graph)
    starts_momentum = any("momentum" in change for change in run.changes.values())
    assert step.traces == (4 if starts_momentum else 2), step.explain_recompiles()


# ---------------------------------------------------------------- views and writes


def lines(pool, program):
    """The statements of a program; returns flags, values and gradients."""
    failed = None
    for number, (code, i, j, k) in enumerate(program):
        try:
            made = programs.line(chainrule, pool, code, i, j, k)
        except TraceError:
            raise
        except RuntimeError:
            failed = number
            break
        if made is not None:
            pool.append(made)
    flags = failed, [t.requires_grad for t in pool], [t.is_leaf for t in pool]
    values = [t.detach() for t in pool]
    loss = sum(((n + 1.0) * (t * t)).sum() for n, t in enumerate(pool) if t.requires_grad)
    try:
        loss.backward()
        grads = [pool[0].grad, pool[1].grad]
    except TraceError:
        raise
    except RuntimeError:
        grads = None
    return flags, [v * 1 for v in values], grads


def outcome(program, compiled):
    """Two calls: what they give, and what they leave in the tensors from outside."""
    w, u, _, c, v = programs.fresh(chainrule)
    u = u.detach().clone().requires_grad_()
    seen = []

    def f(x):
        flags, values, grads = lines([w, u, w * 1.0, c, v, x], program)
        seen.append((flags, grads is None))
        return values

    f = chainrule.compile(f) if compiled else f
    found = []
    for n in range(2):
        x = chainrule.full((2, 3), 1.0 + n, dtype=chainrule.float64)
        values = [t.detach().numpy().copy() for t in f(x)]
        outside = [t.detach().numpy().copy() for t in (w, u, c, v, x)]
        grads = [None if t._grad is None else t._grad.numpy().copy() for t in (w, u)]
        found.append((values, outside, grads))
        w.grad = u.grad = None
        if c.requires_grad or v.requires_grad:  # an eager history that goes on into the next call
            break
    return seen[0], found


def compare(program):
    flags, eager = outcome(program, False)
    compiled_flags, compiled = outcome(program, True)
    assert flags == compiled_flags
    for mine, theirs in zip(eager, compiled, strict=False):
        for a, b in zip([*mine[0], *mine[1]], [*theirs[0], *theirs[1]], strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(mine[2], theirs[2], strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_frozen_programs_of_views_and_writes(seed):
    compare(programs.draw_program(seed))


@pytest.mark.slow
@settings(max_examples=60)
@given(
    st.lists(st.tuples(*(st.integers(0, n - 1) for n in (programs.STEPS, 12, 12, 6))), max_size=12)
)
def test_drawn_programs_of_views_and_writes(program):
    compare(program)


def test_a_permuted_result_is_written_through_its_rows():
    """Its array lies in columns, yet a row is still a view of it."""

    def f(x):
        y = x.T * 2.0
        y[1] = 5.0
        flat = y.reshape(-1)
        flat[0] = 7.0  # a copy: y stays
        y.T[0] = 9.0
        return y * 1, flat * 1

    x = chainrule.arange(6.0).reshape(2, 3)
    for a, b in zip(f(x), chainrule.compile(f)(x), strict=True):
        same(a, b)


# ---------------------------------------------------------------- indices


KEYS = {
    "one": lambda i, j: i,
    "two": lambda i, j: (i, j),
    "slice": lambda i, j: (slice(None), j),
    "apart": lambda i, j: (i, slice(1, None), j % 2),
    "front": lambda i, j: (i[0], slice(None), j % 2),
    "number": lambda i, j: (1, i % 3),
    "numbers": lambda i, j: (i, 2, j % 2),
    "wide": lambda i, j: (i.reshape(-1, 1), j),
    "none": lambda i, j: (None, i),
    "dots": lambda i, j: (..., j % 2),
    "list": lambda i, j: (i[:2], [0, 2]),
    "zero": lambda i, j: (i[0], j % 2),
    "first": lambda i, j: (j, slice(None), i[2]),
    "negative step": lambda i, j: (i, slice(None, None, 2)),
}


@pytest.mark.parametrize("name", KEYS)
def test_indices_that_are_not_known_yet(name):
    key = KEYS[name]
    x = chainrule.randn(4, 3, 2, dtype=chainrule.float64)
    i, j = chainrule.tensor([3, -1, 0]), chainrule.tensor([0, 2, -3])

    def f(x, i, j):
        x = x * 1.0
        picked = x[key(i, j)]
        x[key(i, j)] = 0.5
        y = x * 1.0
        x[key(i, j)] = y[key(i, j)] * 2.0
        return picked, y, x

    def grad_of(x):
        x = x.detach().requires_grad_()
        (g,) = chainrule.autograd.grad((x[key(i, j)] ** 2).sum(), x)
        return g

    for a, b in zip(f(x, i, j), chainrule.compile(f)(x, i, j), strict=True):
        same(a, b)
    same(grad_of(x), chainrule.compile(grad_of)(x))


def test_a_number_that_is_a_tensor_gives_a_copy_and_says_so():
    x = chainrule.randn(4, 3)
    i = chainrule.tensor(2)

    def read(x, i):
        x = x * 1.0
        return x[i], x[i, 1], x[:, i], x[-1, i]

    for a, b in zip(read(x, i), chainrule.compile(read)(x, i), strict=True):
        same(a, b)
    for b in chainrule.compile(read)(x, 2):
        assert b.dtype == x.dtype

    def add(x, i):
        x = x * 1.0
        x[i] += 1.0
        x[i, 0] = 5.0
        return x

    same(add(x, i), chainrule.compile(add)(x, i))

    def write(x, i):
        row = (x * 1.0)[i]
        row += 1.0
        return row

    def look(x, i):
        x = x * 1.0
        part = x[i][1:]
        x[i] = 0.0
        return part

    for f in (write, look):
        with pytest.raises(TraceError, match="a copy in a compiled function"):
            chainrule.compile(f)(x, i)


def test_masks_are_written():
    x = chainrule.randn(4, 3)

    def f(x):
        x = x * 1.0
        x[x > 0.5] = 0.25
        x[x[:, 0] > 0] = -1.0
        x[x.sum(1) < 0] = chainrule.ones(3)
        return x

    same(f(x), chainrule.compile(f)(x))


# ---------------------------------------------------------------- buffers and random numbers


class Running(nn.Module):
    """A batch norm in short: statistics in place, or by a new tensor."""

    def __init__(self, by_name):
        super().__init__()
        self.by_name = by_name
        self.register_buffer("mean", chainrule.zeros(3))
        self.register_buffer("count", chainrule.tensor(0))

    def forward(self, x):
        mean = x.mean(0)
        if self.training:
            with chainrule.no_grad():
                if self.by_name:
                    self.mean = self.mean * 0.9 + mean.detach() * 0.1
                else:
                    self.mean.mul_(0.9).add_(mean.detach() * 0.1)
                self.count += 1
        return x - (mean if self.training else self.mean)


@pytest.mark.parametrize("by_name", [False, True])
def test_buffers(by_name):
    batches = [chainrule.randn(5, 3) for _ in range(3)]
    found = []
    for wrapped in (lambda f: f, chainrule.compile):
        model = nn.Sequential(Running(by_name), nn.Dropout(0.5))
        buffer = model[0].mean
        step = wrapped(lambda x, model=model: model(x))
        chainrule.manual_seed(3)
        outputs = [step(x) for x in batches]
        model.eval()
        outputs.append(step(batches[0]))
        found.append([*outputs, model[0].mean, model[0].count, chainrule.get_rng_state()])
        if wrapped is chainrule.compile:
            assert model[0].mean is buffer
            assert step.traces == 2
            assert step.explain_recompiles() == [
                "training of Sequential changed from True to False"
            ]
    for a, b in zip(*found, strict=True):
        same(a, b)


def test_draws_are_the_same_in_any_order_of_eager_and_compiled():
    g = chainrule.Generator().manual_seed(5)

    def draw(x):
        order = chainrule.randperm(4, generator=g)
        return x + chainrule.randn(3, generator=g), order, chainrule.rand(2)

    compiled = chainrule.compile(draw)
    x = chainrule.zeros(3)
    chainrule.manual_seed(1)
    expected = [draw(x) for _ in range(4)]
    g.manual_seed(5)
    chainrule.manual_seed(1)
    found = [f(x) for f in (compiled, draw, compiled, compiled)]
    for a, b in zip(expected, found, strict=True):
        for p, q in zip(a, b, strict=True):
            same(p, q)
