"""From a list of examples to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..functional import stack
from ..tensor.core import Tensor, wrap
from ..tensor.create import from_numpy, tensor

FIX = "pad the examples to one length, or give the DataLoader a collate_fn"


def default_collate(batch: Sequence[Any]) -> Any:
    """Examples as one batch: a new first dimension (B, ...) in front of each field.

    Tensors and arrays are stacked; Python floats become float64 and ints int64, as in PyTorch;
    texts stay a list; tuples, lists and dicts are collated field by field.  Raises ShapeError for
    examples of different shapes, ArgumentTypeError for what can't be put into a batch.

    >>> from chainrule.data import default_collate
    >>> default_collate([{"x": 1.5, "y": 0}, {"x": 2.5, "y": 1}])
    {'x': tensor([1.5000, 2.5000], dtype=float64), 'y': tensor([0, 1])}
    """
    return collate(batch, range(len(batch)))


def collate(batch: Sequence[Any], indices: Any) -> Any:
    """`default_collate`, with the numbers of the examples in the dataset for its messages."""
    if not len(batch):
        raise ArgumentError("default_collate: an empty batch", expected="at least one example")
    kind = _kind(batch[0])
    for i, x in enumerate(batch):
        if _kind(x) != kind:
            raise ArgumentTypeError(
                "default_collate: the examples of a batch are of different kinds",
                expected=f"{type(batch[0]).__name__}, as dataset index {indices[0]}",
                got=f"{type(x).__name__} at dataset index {indices[i]}",
            )
    if kind in ("tensor", "array"):
        return _stacked(batch, indices)
    if kind == "number":
        real = any(isinstance(x, float) for x in batch)
        return tensor(list(batch), dtype=dtypes.float64 if real else None)
    if kind == "text":
        return list(batch)
    return _by_field(batch, indices, kind)


def _kind(x: Any) -> str:
    for name, types in _KINDS:
        if isinstance(x, types):
            return name
    raise ArgumentTypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(x).__name__}",
        fix="give the DataLoader a collate_fn",
    )


_KINDS: tuple[tuple[str, Any], ...] = (
    ("tensor", Tensor),
    ("array", (np.ndarray, np.generic)),
    ("number", (int, float)),
    ("text", (str, bytes)),
    ("dict", Mapping),
    ("list", Sequence),
)


def _by_field(batch: Sequence[Any], indices: Any, kind: str) -> Any:
    first = batch[0]
    for i, x in enumerate(batch):
        if len(x) != len(first) or (kind == "dict" and set(x) != set(first)):
            raise ShapeError(
                "default_collate: each element in list of batch should be of equal size",
                expected=f"{_fields(first)}, as dataset index {indices[0]}",
                got=f"{_fields(x)} at dataset index {indices[i]}",
                fix=FIX,
            )
    if kind == "dict":
        return {key: collate([x[key] for x in batch], indices) for key in first}
    columns = [collate(column, indices) for column in zip(*batch, strict=True)]
    named = isinstance(first, tuple) and hasattr(first, "_fields")
    return type(first)(*columns) if named else columns


def _fields(x: Any) -> str:
    return f"keys {sorted(map(str, x))}" if isinstance(x, Mapping) else f"{len(x)} fields"


def _stacked(batch: Sequence[Any], indices: Any) -> Tensor:
    first = batch[0]
    for i, x in enumerate(batch):
        if x.shape != first.shape:
            raise ShapeError(
                "default_collate: examples of different shapes can't be stacked into a batch",
                expected=f"shape {tuple(first.shape)}, as dataset index {indices[0]}",
                got=f"shape {tuple(x.shape)} at dataset index {indices[i]}",
                fix=FIX,
            )
    if not isinstance(first, Tensor):
        array = np.stack(batch)
        if array.dtype.kind not in "biuf":
            raise ArgumentTypeError(
                f"default_collate: numpy arrays of {array.dtype} can't become tensors",
                got=f"{array.dtype} at dataset index {indices[0]}",
                fix="numbers instead of texts and objects, or a collate_fn",
            )
        return from_numpy(array)
    if any(t.requires_grad for t in batch):
        return stack(list(batch))
    return wrap(np.stack([t._value for t in batch]))
