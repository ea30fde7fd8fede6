"""How a tensor prints: as PyTorch prints it, four digits, long ones cut in the middle."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..graph.node import Node, type_text
from ..ops.core import current

_PLAIN = {"float32", "int64", "bool"}


def tensor_text(t: Any) -> str:
    """The values, with dtype, gradient and origin where they are not the usual ones."""
    name = "tensor" if type(t).__name__ == "Tensor" else "Parameter containing:\ntensor"
    value = t._value
    trace = current.trace
    if trace is not None or isinstance(value, Node):
        return f"{name}(<{type_text(value)}, its values are not known while it is recorded>)"
    body = _body(value, len("tensor("))
    notes = []
    if value.dtype.name not in _PLAIN and value.dtype != dtypes.get_default_dtype():
        notes.append(f"dtype={value.dtype.name}")
    if value.size == 0:
        notes.append(f"size={value.shape}")
    if t.grad_fn is not None:
        notes.append(f"grad_fn=<{t.grad_fn.op.name}>")
    elif t.requires_grad:
        notes.append("requires_grad=True")
    return f"{name}({', '.join([body, *notes])})"


def _body(value: Any, indent: int) -> str:
    kind = value.dtype.kind
    finite = value[np.isfinite(value)] if kind == "f" else value
    whole = kind == "f" and finite.size == value.size and bool((finite == np.round(finite)).all())
    form: Any = None
    if kind == "f":
        big = finite.size and (np.abs(finite).max() >= 1e5)
        small = finite.size and 0 < np.abs(finite[finite != 0]).min(initial=1) < 1e-4
        if whole and not big:
            form = {"float_kind": lambda v: f"{v:.0f}."}
        elif big or small:
            form = {"float_kind": lambda v: f"{v:.4e}"}
        else:
            form = {"float_kind": lambda v: f"{v:.4f}"}
    text = np.array2string(
        value,
        separator=", ",
        formatter=form,
        threshold=1000,
        edgeitems=3,
        max_line_width=90,
    )
    return text.replace("\n", "\n" + " " * indent)
