"""Arguments and results: Tensors in nested tuples, lists and dicts, and what they are like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import as_dtype
from ..errors import ArgumentTypeError
from ..grad import Leaf
from ..tensor.core import Tensor

PLAIN = (bool, str, type(None), bytes)


class Call:
    """The arguments of one call, taken apart."""

    __slots__ = ("key", "numbers", "objects", "tensors")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], static: frozenset[Any]):
        self.tensors: list[Any] = []  # and arrays
        self.numbers: list[Any] = []
        self.objects: list[Any] = []
        parts = [self._part(x) if not static or i not in static else self._static(x)
                 for i, x in enumerate(args)]  # fmt: skip
        for name in sorted(kwargs) if kwargs else ():
            x = kwargs[name]
            parts.append((name, self._static(x) if name in static else self._part(x)))
        tensors = self.tensors
        if len(tensors) > 1:
            ids = [id(x) for x in tensors]
            if len(set(ids)) < len(ids):
                parts.append(("same", tuple([ids.index(i) for i in ids])))
        self.key = tuple(parts)

    def _part(self, x: Any) -> Any:
        """What of an argument decides which program it needs."""
        if isinstance(x, Tensor):
            self.tensors.append(x)
            value = x._value
            node = x._node if x._base is None else x._node_now()
            return value.shape, value.dtype.num, 0 if node is None else 1 + (type(node) is not Leaf)
        kind: Any = type(x)
        if kind is float:
            self.numbers.append(x)
            return "float"
        if kind is int:
            self.numbers.append(x)
            return "int"
        if kind in PLAIN:
            return "is", x
        if kind is tuple or kind is list:
            return kind.__name__, tuple([self._part(v) for v in x])
        if isinstance(x, np.ndarray):
            self.tensors.append(np.asarray(x, as_dtype(x.dtype)))
            return "array", x.shape, self.tensors[-1].dtype.num
        if isinstance(x, np.generic):
            return self._part(x.item())
        if isinstance(x, tuple):
            return kind.__name__, tuple([self._part(v) for v in x])
        if kind is dict:
            return "dict", tuple([(k, self._part(v)) for k, v in x.items()])
        self.objects.append(x)
        return "object", kind.__name__, id(x)

    def _static(self, x: Any) -> Any:
        try:
            hash(x)
        except TypeError:
            raise ArgumentTypeError(
                "compile: a static argument must be hashable", got=repr(x)[:80]
            ) from None
        self.objects.append(x)
        return "static", type(x).__name__, x


def rebuild(x: Any, tensor: Callable[[Any], Any], number: Callable[[Any], Any]) -> Any:
    """An argument with its tensors and numbers exchanged, in the order in which Call lists them."""
    if isinstance(x, (Tensor, np.ndarray)):
        return tensor(x)
    x = x.item() if isinstance(x, np.generic) else x
    kind = type(x)
    if kind is float or kind is int:
        return number(x)
    if kind is tuple or kind is list:
        return kind([rebuild(v, tensor, number) for v in x])
    if isinstance(x, tuple):
        return kind(*[rebuild(v, tensor, number) for v in x])
    if kind is dict:
        return {k: rebuild(v, tensor, number) for k, v in x.items()}
    return x


def template(x: Any, tensor: Callable[[Tensor], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """How a result is put together again: a function of what a run gave.

    tensor: says for a Tensor in the recorded result how to get it at each call.
    """
    if isinstance(x, Tensor):
        return tensor(x)
    kind = type(x)
    if isinstance(x, (tuple, list)):
        parts = [template(v, tensor) for v in x]
        if kind is tuple:
            return lambda run: tuple([p(run) for p in parts])
        if kind is list:
            return lambda run: [p(run) for p in parts]
        return lambda run: kind(*[p(run) for p in parts])
    if isinstance(x, dict):
        items = [(k, template(v, tensor)) for k, v in x.items()]
        return lambda run: {k: p(run) for k, p in items}
    if isinstance(x, (bool, int, float, str, type(None))):
        return lambda run: x
    raise ArgumentTypeError(
        "compile: the function returned what can't be made again at every call",
        expected="Tensors, numbers or None, in tuples, lists and dicts",
        got=f"{kind.__module__}.{kind.__name__}",
    )


def describe(part: Any) -> str:
    """A part of a key, as it is told to the user."""
    if isinstance(part, tuple) and len(part) == 3 and isinstance(part[0], tuple):
        shape, number, kind = part
        names = ("", ", requires grad", ", computed with history")
        return f"{_dtype_name(number)} {shape}{names[kind]}"
    if isinstance(part, tuple) and part and part[0] == "array":
        return f"array {_dtype_name(part[2])} {part[1]}"
    if isinstance(part, tuple) and part and part[0] == "is":
        return repr(part[1])
    if isinstance(part, tuple) and part and part[0] == "static":
        return repr(part[2])[:60]
    if isinstance(part, tuple) and part and part[0] == "object":
        return f"this {part[1]}"
    if isinstance(part, tuple) and len(part) == 2 and isinstance(part[1], tuple):
        inside = ", ".join(describe(p) for p in part[1])
        return f"{part[0]}({inside})"
    return str(part)


def _dtype_name(number: int) -> str:
    return next((d.name for d in _DTYPES if d.num == number), str(number))


_DTYPES = [
    np.dtype(n)
    for n in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
]  # fmt: skip


def differences(old: tuple[Any, ...], new: tuple[Any, ...], names: list[str]) -> list[str]:
    """What two keys differ in, argument by argument."""
    if len(old) != len(new):
        return [f"{len(new)} arguments instead of {len(old)}"]
    found = []
    for i, (a, b) in enumerate(zip(old, new, strict=True)):
        if a == b:
            continue
        name = names[i] if i < len(names) else f"argument {i}"
        keyword = isinstance(a, tuple) and len(a) == 2 and a[0] in names
        if keyword and isinstance(b, tuple) and len(b) == 2 and a[0] == b[0]:
            name, a, b = a[0], a[1], b[1]
        found.append(f"{name} is {describe(b)}, and was {describe(a)}")
    return found
