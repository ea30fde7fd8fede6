"""What users do wrong with tensors and gradients: the type that PyTorch raises, the numbers, the
names, the line, what would mend it; in six lines at most, and nothing has changed afterwards."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import ChainruleError
from chainrule.ops import Spec
from chainrule.tensor import memory

HERE = Path(__file__).name
w = chainrule.tensor([1.0, 2.0, 3.0], requires_grad=True)
model = nn.Sequential()
model.fc1 = nn.Linear(4, 2)
row = chainrule.ones(1, 4)


def inside_no_grad():
    with chainrule.no_grad():
        y = (w * 2).sum()
    y.backward()


def after_detach():
    y = (w * 2).detach() + 1
    y.sum().backward()


def after_data():
    (w.data * 2).sum().backward()


def of_an_accuracy():
    hits = (w > 1.5).float()
    hits.mean().backward()


def two_named_tensors():
    hidden, bias = chainrule.ones(3, 4), chainrule.ones(3, 5)
    return hidden + bias


def fed_with_numpy():
    model(chainrule.from_numpy(np.ones((2, 4))))


def fed_with_integers():
    model(chainrule.tensor([[1, 2, 3, 4]]))


ROWS = {
    "shapes that do not broadcast": (
        two_named_tensors, RuntimeError,
        ["add", "(3, 4)", "(3, 5)", "4 against 5", "dimension -1", "hidden + bias"]),
    "a copy of a result": (
        lambda: copy.deepcopy(w * 2), RuntimeError, ["only leaves", "copy.deepcopy(w * 2)"]),
    "float64 NumPy into a float32 model": (
        fed_with_numpy, RuntimeError, ["float64", "float32", "fc1 (Linear)", "x.float()"]),
    "integers into Linear": (
        fed_with_integers, RuntimeError, ["int64", "float32", "fc1 (Linear)", "x.float()"]),
    "matmul of two types": (
        lambda: chainrule.ones(2, 2) @ chainrule.ones(2, 2).double(), RuntimeError,
        ["matmul", "float32 (2, 2)", "float64 (2, 2)", "chainrule.float64"]),
    "matmul of sizes that differ": (
        lambda: chainrule.ones(2, 3) @ chainrule.ones(4, 5), RuntimeError,
        ["matmul", "(2, 3)", "(4, 5)"]),
    "backward of many elements": (
        lambda: (w * 2).backward(), RuntimeError,
        ["only for scalar outputs", "(3,)", ".mean() or .sum()"]),
    "backward of a constant": (
        lambda: chainrule.ones(3).sum().backward(), RuntimeError,
        ["does not require grad and does not have a grad_fn", "requires_grad=True"]),
    "backward of what no_grad made": (
        inside_no_grad, RuntimeError,
        ["does not require grad", f"inside no_grad() at {HERE}:"]),
    "backward behind detach": (
        after_detach, RuntimeError, [f"cut off by .detach() at {HERE}:", "(w * 2).detach()"]),
    "backward behind data": (after_data, RuntimeError, [f"taken from .data at {HERE}:", "w.data"]),
    "backward of an accuracy": (
        of_an_accuracy, RuntimeError, [f"gt has no derivative at {HERE}:", "w > 1.5"]),
    "backward with a gradient that does not fit": (
        lambda: (w * 2).backward(chainrule.ones(2)), RuntimeError, ["(3,)", "(2,)"]),
    "backward with a gradient of another type": (
        lambda: (w * 2).backward(chainrule.ones(3).double()), RuntimeError,
        ["float32", "float64"]),
    "in place on a leaf": (
        lambda: w.mul_(2), RuntimeError, ["mul_", "leaf", "(3,)", "no_grad()"]),
    "in place on a leaf, by operator": (
        lambda: w.__iadd__(2), RuntimeError, ["+=", "leaf", "no_grad()"]),
    "item assignment on a leaf": (
        lambda: w.__setitem__(0, 1.0), RuntimeError, ["x[...] = v", "leaf", "no_grad()"]),
    "numpy() of a tracked tensor": (
        lambda: w.numpy(), RuntimeError,
        ["Can't call numpy() on Tensor that requires grad.", "tensor.detach().numpy()"]),
    "np.asarray of a tracked tensor": (
        lambda: np.asarray(w), RuntimeError, ["tensor.detach().numpy()"]),
    "the truth of many elements": (
        lambda: bool(w > 0), RuntimeError,
        ["Boolean value of Tensor with more than one value is ambiguous", "(3,)", ".any()"]),
    "the truth of none": (
        lambda: bool(chainrule.zeros(0)), RuntimeError, ["no values", "(0,)"]),
    "an unused input": (
        lambda: chainrule.autograd.grad((w * w).sum(), [w, chainrule.zeros(2, requires_grad=True)]),
        RuntimeError, ["index 1", "(2,)", "allow_unused=True"]),
    "requires_grad on integers": (
        lambda: chainrule.tensor([1, 2], requires_grad=True), RuntimeError,
        ["only float tensors", "int64", "1.0 instead of 1"]),
    "a gradient that does not fit its tensor": (
        lambda: setattr(w, "grad", chainrule.ones(2)), RuntimeError, ["(3,)", "(2,)"]),
    "a number of many elements": (
        lambda: w.item(), RuntimeError, ["one element", "(3,)"]),
    "something that is no tensor": (
        lambda: w + None, TypeError, ["add", "NoneType"]),
    "an expand that would have to repeat more than ones": (
        lambda: chainrule.ones(2, 3).expand(3, 2), RuntimeError, ["(2, 3)", "(3, 2)"]),
    "an expand to fewer dimensions": (
        lambda: chainrule.ones(2, 3).expand(6), RuntimeError, ["(2, 3)", "(6,)"]),
    "a reshape that does not fit": (
        lambda: chainrule.ones(2, 3).reshape(4, 2), RuntimeError, ["(2, 3)", "(4, 2)", "6", "8"]),
    "a view that needs a copy": (
        lambda: chainrule.ones(2, 3).T.view(6), RuntimeError, ["(3, 2)", ".reshape"]),
    "a dimension that is not there": (
        lambda: w.sum(3), IndexError, ["sum", "[-1, 0]", "3"]),
    "logic on whole numbers": (
        lambda: chainrule.tensor([1, 2]) & chainrule.tensor([1, 3]), RuntimeError,
        ["&", "int64", "logical_and"]),
    "whole numbers to a negative power": (
        lambda: chainrule.tensor([1, 2]) ** -1, RuntimeError, ["negative integer powers", "-1"]),
    "whole numbers divided by zero": (
        lambda: chainrule.tensor([1, 2]) // chainrule.tensor([0, 1]), RuntimeError, ["1 zeros"]),
    "the mean of integers": (
        lambda: chainrule.tensor([1, 2]).mean(), RuntimeError, ["mean", "int64", "x.float()"]),
    "the maximum of nothing": (
        lambda: chainrule.zeros(0).max(), RuntimeError, ["max", "(0,)"]),
    "more memory than there is": (
        lambda: row[:, :1].expand(10**8, 1) + row[:, :1].expand(1, 10**8), MemoryError,
        ["add", "GiB", "(100000000, 100000000)", "a smaller batch"]),
    "a new tensor that does not fit": (
        lambda: chainrule.zeros(10**8, 10**8), MemoryError, ["GiB", "(100000000, 100000000)"]),
    "a layer that does not fit": (
        lambda: nn.Linear(10**8, 10**8), MemoryError, ["GiB", "(100000000, 100000000)"]),
    "a batch that does not fit": (
        lambda: model(chainrule.ones(1, 1).expand(10**14, 4)), MemoryError,
        ["matmul", "(100000000000000, 2)", "fc1 (Linear)", "a smaller batch"]),
    "a gradient that does not fit": (
        lambda: (row[0, :1] * w[:1]).expand(10**16)[:1].sum().backward(), MemoryError,
        ["backward", "smaller batch"]),
    "a device that is not there": (
        lambda: chainrule.zeros(2, device="cuda"), ValueError, ["CPU", "cuda"]),
}  # fmt: skip


def state():
    tensors = [w, *model.parameters()]
    return [(t._value.tobytes(), t._grad, t.requires_grad) for t in tensors]


@pytest.mark.parametrize("name", ROWS)
def test_bad_input(name):
    call, kind, words = ROWS[name]
    before = state()
    with pytest.raises(ChainruleError) as caught:
        call()
    assert state() == before
    assert isinstance(caught.value, kind)
    text = str(caught.value)
    assert [word for word in words if word not in text] == []
    assert len(text.splitlines()) <= 6
    assert f"line      {__file__.rsplit('/', 1)[-1]}:" in text
    (w * w).sum().backward()  # and everything works as before
    w.grad = None


def test_the_message_points_at_the_users_line():
    with pytest.raises(ChainruleError) as caught:
        chainrule.ones(2) + chainrule.ones(3)
    line = caught.traceback[0].lineno + 1
    assert f"test_errors.py:{line}" in str(caught.value)


def test_a_batch_that_would_fit_is_named(tmp_path, monkeypatch):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 9999999 kB\nMemAvailable: 2097152 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", told)
    error = memory.does_not_fit(
        "matmul", Spec((10**6, 4096), chainrule.float32), [Spec((10**6, 8), None)]
    )
    assert "unable to allocate 15.26 GiB" in str(error)
    assert "at most 131072 rows of this one result fit into the 2.00 GiB free" in str(error)
    told.unlink()
    assert "a smaller batch: memory grows with its size" in str(
        memory.does_not_fit(
            "matmul", Spec((10**6, 4096), chainrule.float32), [Spec((10**6, 8), None)]
        )
    )
