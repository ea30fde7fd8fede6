"""State as JSON plus named tensors, and back, exactly: what it was is what it becomes.

JSON has no tensors, tuples, infinities or keys that are numbers, so those are written as a dict
with one key that begins with `$`.  Floats keep every bit: their text is the shortest that reads
back as the same number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import FormatError, StateError
from ..tensor.core import Tensor, wrap

Tensors = dict[str, Tensor]


def pack(value: Any) -> tuple[Any, Tensors]:
    """(what JSON can hold, tensors by path)."""
    tensors: Tensors = {}
    return _pack(value, "", tensors), tensors


def _pack(value: Any, path: str, tensors: Tensors) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (Tensor, np.ndarray)):
        tensors[path] = value if isinstance(value, Tensor) else wrap(value)
        return {"$tensor": path}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, list):
        return [_pack(v, f"{path}.{i}", tensors) for i, v in enumerate(value)]
    if isinstance(value, tuple):
        return {"$tuple": _pack(list(value), path, tensors)}
    if isinstance(value, Mapping):
        plain = all(isinstance(k, str) and not k.startswith("$") for k in value)
        head = f"{path}." if path else ""
        items = [(k, _pack(v, f"{head}{k}", tensors)) for k, v in value.items()]
        if isinstance(value, Counter):
            return {"$counter": [list(item) for item in items]}
        return dict(items) if plain else {"$dict": [[_pack(k, "", {}), v] for k, v in items]}
    raise StateError(
        f"a checkpoint can't hold {path or 'this'}",
        expected="numbers, texts, lists, tuples, dicts and tensors",
        got=type(value).__name__,
        fix="state_dict() without it",
    )


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `pack` was given; FormatError where it was no `pack` that wrote this."""
    if isinstance(value, list):
        return [unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, held),) = value.items()
        if key in _MARKED:
            try:
                return _MARKED[key](held, tensors)
            except (TypeError, ValueError, LookupError) as error:
                if isinstance(error, FormatError):
                    raise
                raise FormatError(
                    f"the checkpoint holds a {key} that is none", got=repr(held)[:60], line=""
                ) from None
    return {k: unpack(v, tensors) for k, v in value.items()}


def _tensor(held: Any, tensors: Mapping[str, Tensor]) -> Any:
    if held not in tensors:
        raise FormatError(f"the checkpoint lacks the tensor {held!r}", line="")
    return tensors[held]


_MARKED: dict[str, Callable[[Any, Mapping[str, Tensor]], Any]] = {
    "$tensor": _tensor,
    "$float": lambda held, tensors: {str(v): v for v in (math.inf, -math.inf, math.nan)}[held],
    "$tuple": lambda held, tensors: tuple(unpack(list(held), tensors)),
    "$counter": lambda held, tensors: Counter({k: unpack(v, tensors) for k, v in held}),
    "$dict": lambda held, tensors: {unpack(k, tensors): unpack(v, tensors) for k, v in held},
}
