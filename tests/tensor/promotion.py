"""Operands of every type, as arrays with dimensions and as 0-d values."""

from __future__ import annotations

from typing import Any

NAMES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
KINDS = (("array", "array"), ("array", "scalar"), ("scalar", "array"), ("scalar", "scalar"))


def operand(lib: Any, name: str, kind: str) -> Any:
    """Ones of a type, in either library."""
    return lib.ones(() if kind == "scalar" else (2,), dtype=getattr(lib, name))
