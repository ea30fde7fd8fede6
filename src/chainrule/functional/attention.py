"""Attention: how much each query takes of each value."""

from __future__ import annotations

import math

from .. import dtypes, ops
from ..errors import DTypeError, ShapeError
from ..ops.core import Value, broadcast_shapes

NEVER = -math.inf


def attention_weights(
    query: Value, key: Value, mask: Value | None, causal: bool, scale: float
) -> tuple[Value, Value | None]:
    """softmax(query key^T scale + mask), and which queries may look nowhere (None: none of them).

    query (..., L, E), key (..., S, E), mask (..., L, S) of numbers that are added.  The weights of
    a query that may look nowhere mean nothing: what is made of them is to be 0.
    """
    scores = ops.matmul(query * scale, key, tb=True)
    lost = None
    if causal:
        mask = causal_mask(scores.shape[-2], scores.shape[-1], scores.dtype)
    elif mask is not None and math.prod(mask.shape):
        top = ops.max(mask, axis=(len(mask.shape) - 1,) if mask.shape else (), keepdim=True)
        lost = ops.eq(top, NEVER)
        mask = ops.where(ops.expand(lost, shape=mask.shape), 0.0, mask)  # keeps nan out
    if mask is not None:
        scores = scores + ops.expand(mask, shape=scores.shape)
    return ops.softmax(scores, axis=len(scores.shape) - 1), lost


def without(lost: Value | None, y: Value) -> Value:
    """y (..., L, D) with 0 for the queries that may look nowhere, as in PyTorch."""
    return y if lost is None else ops.where(ops.expand(lost, shape=y.shape), 0.0, y)


def causal_mask(rows: int, columns: int, dtype: dtypes.DType) -> Value:
    """(L, S): 0 where the key stands no later than the query, else -inf."""
    down = ops.reshape(ops.iota(size=rows, dtype=dtypes.int64), shape=(rows, 1))
    across = ops.reshape(ops.iota(size=columns, dtype=dtypes.int64), shape=(1, columns))
    return additive(ops.lt(down, across), dtype)


def additive(forbidden: Value, dtype: dtypes.DType) -> Value:
    """Numbers to add to scores: -inf where it is forbidden to look, else 0."""
    nothing = ops.full(shape=forbidden.shape, value=0.0, dtype=dtype)
    return ops.where(forbidden, NEVER, nothing)


def mask_of(name: str, what: str, mask: Value, dtype: dtypes.DType, forbids: bool) -> Value:
    """A mask as numbers to add; True in a mask of bools forbids or allows to look."""
    if mask.dtype.kind == "b":
        return additive(mask if forbids else ops.logical_not(mask), dtype)
    if mask.dtype.kind != "f":
        raise DTypeError(
            f"{name}: {what} must be of bools or of a float type",
            got=f"{mask.dtype.name} {mask.shape}",
            fix="mask.bool()",
        )
    return mask if mask.dtype == dtype else ops.cast(mask, dtype=dtype)


def check_mask(name: str, what: str, mask: Value, shape: tuple[int, ...]) -> None:
    """Raises unless the mask broadcasts to the shape of the scores."""
    if broadcast_shapes(f"{name}: {what} and scores", mask.shape, shape) != shape:
        raise ShapeError(
            f"{name}: {what} does not fit the scores",
            expected=f"what broadcasts to {shape}",
            got=str(mask.shape),
        )
