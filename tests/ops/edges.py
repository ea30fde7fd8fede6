"""Where IEEE arithmetic has its corners, and how a pointwise op is called there."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

ONE = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-30, 30.0, -30.0, 700.0, -700.0, 1e30, -1e30, np.inf,
       -np.inf, np.nan)  # fmt: skip
TWO = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, -2.5, 1e30, -1e30, np.inf, -np.inf, np.nan)
INTEGERS = ("int8", "int32", "int64", "uint8", "bool")


def edge_inputs(arity: int, dtype: Any = np.float64) -> list[Any]:
    """Every edge value, or all pairs of them; a third input in front is a condition."""
    if arity == 1:
        return [np.array(ONE, dtype)]
    pairs = np.array(list(itertools.product(TWO, TWO)), dtype).T.copy()
    if arity == 2:
        return list(pairs)
    return [np.arange(pairs.shape[1]) % 2 == 0, *pairs]


def integer_inputs(arity: int, dtype: str) -> list[Any]:
    """Small whole numbers, the same place for place."""
    columns = [np.array([3, 1, 2, 5]), np.array([1, 2, 2, 3])][:arity]
    condition = [np.array([True, False, True, False])] if arity == 3 else []
    return condition + [c.astype(dtype) for c in columns[: arity - len(condition)]]
