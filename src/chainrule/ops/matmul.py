"""The matrix product: batched, of any rank, with transposed operands at no cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from .core import OTHER, Op, Sample, Spec, Value


class Matmul(Op):
    """y = a b over the last two dimensions;  da = g b^T, db = a^T g.

    a (.., M, K) and b (.., K, N), or (.., K, M) and (.., N, K) where `ta` and `tb` say that they
    lie transposed in memory; leading dimensions are equal.
    """

    math = "{a} @ {b}"
    saves = OTHER
    combines = True

    def spec(self, a: Any, b: Any, *, ta: bool = False, tb: bool = False) -> Spec:
        if a.dtype != b.dtype:
            raise DTypeError(
                "matmul: the operands have different dtypes",
                expected="one dtype",
                got=f"{a.dtype.name} {a.shape} and {b.dtype.name} {b.shape}",
                fix=f".to({b.dtype.name}) on the first operand, usually the input",
            )
        fits = a.ndim == b.ndim >= 2 and a.shape[:-2] == b.shape[:-2]
        (m, k), (k2, n) = _sizes(a, ta), _sizes(b, tb)
        if not fits or k != k2:
            raise ShapeError(
                "matmul: the inner sizes differ" if fits else "matmul: the operands do not fit",
                expected="a (.., M, K) and b (.., K, N)",
                got=f"a {(*a.shape[:-2], m, k)} and b {(*b.shape[:-2], k2, n)}",
            )
        return Spec((*a.shape[:-2], m, n), a.dtype)

    def forward(self, a: Any, b: Any, *, ta: bool = False, tb: bool = False) -> Any:
        if a.dtype is not b.dtype:
            self.spec(a, b, ta=ta, tb=tb)
        if a.ndim == 2:
            return (a.T if ta else a).dot(b.T if tb else b)  # a third of the overhead of a @ b
        return np.matmul(a.swapaxes(-1, -2) if ta else a, b.swapaxes(-1, -2) if tb else b)

    def element(
        self, make: Any, i: Any, a: Any, b: Any, *, ta: bool = False, tb: bool = False
    ) -> Any:
        *batch, m, n = i

        def product(k: Any) -> Any:
            (j,) = k
            left, right = ((j, m) if ta else (m, j)), ((n, j) if tb else (j, n))
            return make.mul(a((*batch, *left)), b((*batch, *right)))

        return make.reduce("dot", [_sizes(a, ta)[1]], product)

    def vjp(
        self, g: Value, y: Value, a: Value, b: Value, *, ta: bool = False, tb: bool = False
    ) -> tuple[Value, ...]:
        # the gradient of a transposed operand is the transposed gradient: (g b^T)^T = b g^T
        return (
            lambda: matmul(b, g, ta=tb, tb=True) if ta else matmul(g, b, tb=not tb),
            lambda: matmul(g, a, ta=True, tb=ta) if tb else matmul(a, g, ta=not ta),
        )

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for batch in ((), (2,), (2, 1)):
            for ta in (False, True):
                for tb in (False, True):
                    a = rng.normal(size=(*batch, 4, 3) if ta else (*batch, 3, 4))
                    b = rng.normal(size=(*batch, 2, 4) if tb else (*batch, 4, 2))
                    yield Sample((a, b), {"ta": ta, "tb": tb})


def _sizes(x: Any, transposed: bool) -> tuple[int, int]:
    if len(x.shape) < 2:
        return (0, x.shape[0]) if x.shape else (0, 0)
    rows, columns = x.shape[-2:]
    return (columns, rows) if transposed else (rows, columns)


matmul = Matmul()
