"""What the registry tests walk over: every op at each of its own samples, by no name."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import chainrule
from chainrule import ops
from chainrule.ops.core import Op
from chainrule.tensor.core import wrap

OPS = list(ops.REGISTRY.values())


class Case(NamedTuple):
    """One op at one of its samples."""

    op: Op
    number: int
    inputs: tuple[Any, ...]
    params: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.op.name}-{self.number}"

    @property
    def floats(self) -> list[int]:
        """The inputs that can have a gradient."""
        return [i for i, x in enumerate(self.inputs) if x.dtype.kind == "f"]

    def tensors(self, requires_grad: bool = True) -> list[Any]:
        return [
            wrap(x.copy()).requires_grad_(requires_grad and x.dtype.kind == "f")
            for x in self.inputs
        ]

    def run(self, tensors: list[Any]) -> Any:
        return self.op(*tensors, **self.params)


def cases(op: Op) -> list[Case]:
    rng = np.random.default_rng(zlib.crc32(op.name.encode()))
    return [Case(op, i, s.inputs, s.params) for i, s in enumerate(op.samples(rng))]


ALL = [case for op in OPS for case in cases(op)]
SMOOTH = [case for case in ALL if case.op.differentiable and case.floats]


def slope(f: Callable[[float], float], h: float) -> float:
    """df/dt at t = 0 by four central points: the error is of order h^4."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def worst(numeric: float, analytic: float) -> float:
    """How far apart the two are, relative to their size where that is above 1."""
    return abs(numeric - analytic) / max(1.0, abs(numeric), abs(analytic))


def directions(case: Case, rng: np.random.Generator) -> Iterator[tuple[int, Any]]:
    for i in case.floats:
        yield i, rng.normal(size=case.inputs[i].shape)


def first_order(case: Case) -> list[float]:
    """One error an input: the rule against central differences along a random direction."""
    rng = np.random.default_rng(1)
    inputs = case.tensors()
    y = case.run(inputs)
    if not y.requires_grad:
        return []
    weight = wrap(rng.normal(size=y.shape))
    got = chainrule.autograd.grad(
        y, [inputs[i] for i in case.floats], weight, materialize_grads=True
    )

    def value(moved: int, direction: Any, t: float) -> float:
        shifted = [
            wrap(x + t * direction) if i == moved else wrap(x) for i, x in enumerate(case.inputs)
        ]
        return float((case.run(shifted) * weight).sum())

    errors = []
    for (i, d), g in zip(directions(case, rng), got, strict=True):
        numeric = slope(lambda t, i=i, d=d: value(i, d, t), 1e-3)
        errors.append(worst(numeric, float((g.numpy() * d).sum())))
    return errors


def second_order(case: Case) -> list[float]:
    """The same for the gradient as a function of the inputs and of the incoming gradient."""
    rng = np.random.default_rng(2)
    shape = case.run(case.tensors(False)).shape
    point = [*case.inputs, rng.normal(size=shape)]
    moving = [*case.floats, len(case.inputs)]
    weights = [wrap(rng.normal(size=case.inputs[i].shape)) for i in case.floats]

    def gradient(values: list[Any], create_graph: bool) -> tuple[Any, list[Any]]:
        tensors = [wrap(v).requires_grad_(v.dtype.kind == "f") for v in values]
        y = case.run(tensors[:-1])
        found = chainrule.autograd.grad(
            y, [tensors[i] for i in case.floats], tensors[-1], create_graph=create_graph,
            materialize_grads=True,
        )  # fmt: skip
        total = sum((g * w).sum() for g, w in zip(found, weights, strict=True))
        return total, tensors

    if not case.run(case.tensors()).requires_grad:
        return []
    total, tensors = gradient(point, True)
    if not total.requires_grad:  # the gradient is 0 whatever comes in
        return []
    got = chainrule.autograd.grad(total, [tensors[i] for i in moving], materialize_grads=True)
    errors = []
    for i, g in zip(moving, got, strict=True):
        d = rng.normal(size=point[i].shape)

        def value(t: float, i: int = i, d: Any = d) -> float:
            shifted = [v + t * d if j == i else v for j, v in enumerate(point)]
            return float(gradient(shifted, False)[0])

        errors.append(worst(slope(value, 1e-3), float((g.numpy() * d).sum())))
    return errors
