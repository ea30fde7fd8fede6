"""The types of C, and numbers as its literals: every bit of a float, so in hexadecimal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import dtypes
from ...dtypes import DType

MEMORY = {
    dtypes.float32: "float", dtypes.float64: "double", dtypes.int8: "int8_t",
    dtypes.int16: "int16_t", dtypes.int32: "int32_t", dtypes.int64: "int64_t",
    dtypes.uint8: "uint8_t", dtypes.uint64: "uint64_t", dtypes.bool_: "uint8_t",
}  # fmt: skip
"""How memory holds elements: a bool takes a byte."""


def memory_type(dtype: DType) -> str:
    """The type of an element in memory."""
    return MEMORY[dtype]


def value_type(dtype: DType) -> str:
    """The type of a value that is computed with: a truth is an int."""
    return "int" if dtype.kind == "b" else MEMORY[dtype]


def suffix(dtype: DType) -> str:
    """What the functions of <math.h> for a type end with."""
    return "f" if dtype == dtypes.float32 else ""


def literal(value: Any, dtype: DType) -> str:
    """A number, exactly."""
    if dtype.kind == "b":
        return "1" if value else "0"
    if dtype.kind == "f":
        return _float(float(value), suffix(dtype))
    value = int(value)
    if dtype == dtypes.uint64:
        return f"UINT64_C({value})"
    if value == np.iinfo(np.int64).min:
        return "INT64_MIN"
    if value == np.iinfo(np.int32).min and dtype == dtypes.int32:
        return "INT32_MIN"
    text = str(value) if dtype != dtypes.int64 else f"INT64_C({abs(value)})"
    return f"-{text}" if dtype == dtypes.int64 and value < 0 else text


def literals(array: Any) -> list[str]:
    """All numbers of an array; those of floats, of which there are many, straight from the bits."""
    flat, dtype = array.reshape(-1), array.dtype
    if dtype.kind != "f":
        return [literal(x, dtype) for x in flat.tolist()]
    width, bias = (23, 127) if dtype == dtypes.float32 else (52, 1023)
    bits = flat.view(f"u{dtype.itemsize}")
    power = ((bits >> width) & (2 * bias + 1)).astype(np.int64)
    digits = bits & ((1 << width) - 1)
    form = f"%s0x1.%0{-(-width // 4)}xp%d{suffix(dtype)}"
    parts = (
        np.where(bits >> (8 * dtype.itemsize - 1), "-", "").tolist(),
        (digits << (-width % 4)).tolist(),
        (power - bias).tolist(),
    )
    texts = [form % part for part in zip(*parts, strict=True)]
    others = (power == 0) | (power == 2 * bias + 1) | ((flat == np.rint(flat)) & (abs(flat) < 1e6))
    for i in np.flatnonzero(others).tolist():
        texts[i] = literal(flat[i].item(), dtype)
    return texts


def _float(value: float, end: str) -> str:
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    if value == int(value) and abs(value) < 1e6:  # as exact, and easier to read
        return f"{value:.1f}{end}"
    head, power = value.hex().split("p")
    digits = head.rstrip("0") if "." in head else head
    return f"{digits.rstrip('.')}p{power}{end}"
