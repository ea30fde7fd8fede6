"""Element types: NumPy's dtype objects under PyTorch's names, and PyTorch's promotion rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ArgumentTypeError

DType = np.dtype[Any]

float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
uint64 = np.dtype(np.uint64)
bool_ = np.dtype(np.bool_)

ALL: tuple[DType, ...] = (
    float32, float64, int8, int16, int32, int64, uint8, uint64, bool_,
)  # fmt: skip
_BY_KEY = {(d.kind, d.itemsize): d for d in ALL}
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}

_default = float32

WEAK = 3
"""The rank of a Python number that a recorded program is given when it runs."""


def get_default_dtype() -> DType:
    """The float type of new tensors made from Python numbers (float32 unless set)."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Sets the float type of new tensors made from Python numbers: float32 or float64."""
    global _default
    dtype = as_dtype(dtype)
    if dtype not in (float32, float64):
        raise ArgumentTypeError(
            "set_default_dtype: only float types can be the default",
            expected="float32 or float64",
            got=str(dtype),
        )
    _default = dtype


def as_dtype(dtype: Any) -> DType:
    """The canonical dtype object for whatever names one; raises for types that we do not have."""
    try:
        wanted = np.dtype(dtype)
        return _BY_KEY[wanted.kind, wanted.itemsize]
    except (TypeError, KeyError):
        raise ArgumentTypeError(
            "dtype: not a type that tensors can hold",
            expected=", ".join(d.name for d in ALL),
            got=repr(dtype),
        ) from None


def can_store(dtype: DType, target: DType) -> bool:
    """Whether an in-place operation may put values of `dtype` into a tensor of `target`."""
    return _CATEGORY[dtype.kind] <= _CATEGORY[target.kind]


def result_type(*operands: Any) -> DType:
    """The type in which operands meet, as in PyTorch.

    A Python number or a 0-d value gives way to an array with dimensions, unless it is of a higher
    category (bool < integer < float).  `operands` have `.dtype` and `.ndim`, or are numbers.
    """
    best: list[DType | None] = [None, None, None]  # with dimensions, 0-d, Python number
    weak = False
    for x in operands:
        rank, dtype = _rank_and_dtype(x)
        if rank == WEAK:
            weak, rank = True, 2
        best[rank] = _meet(best[rank], dtype)
    result: DType | None = None
    if weak and best[0] is None and best[1] is None:  # Python would compute in its own types
        assert best[2] is not None
        return float64 if best[2].kind == "f" else best[2]
    for found in best:
        if found is not None and (result is None or _CATEGORY[found.kind] > _CATEGORY[result.kind]):
            result = found
    assert result is not None
    return result


def _meet(a: DType | None, b: DType) -> DType:
    """The higher category wins with its own width; within one, the type that holds both."""
    if a is None or _CATEGORY[a.kind] < _CATEGORY[b.kind]:
        return b
    return a if _CATEGORY[a.kind] > _CATEGORY[b.kind] else as_dtype(np.promote_types(a, b))


def _rank_and_dtype(x: Any) -> tuple[int, DType]:
    dtype = getattr(x, "dtype", None)  # first: NumPy's float64 counts as a Python float as well
    if dtype is not None:
        if x.ndim:
            return 0, dtype
        if getattr(getattr(x, "_value", x), "weak", False):
            return WEAK, _default if dtype.kind == "f" else dtype
        return 1, dtype
    if isinstance(x, bool):
        return 2, bool_
    return 2, int64 if isinstance(x, int) else _default
