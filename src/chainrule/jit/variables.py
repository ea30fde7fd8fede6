"""Variables that a function takes from around it: they are part of the program, so they are
compared at every call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import TraceError
from ..tensor.core import Tensor

if TYPE_CHECKING:
    from ..tensor.tracing import Trace

PLAIN = (bool, int, float, str, tuple, type(None))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _codes(value)


class Variables:
    """The closure and the globals of a function, and the attributes of the object it belongs to.

    method_of: the object that a function decorated in a class gets as its first argument.
    """

    def __init__(self, function: Callable[..., Any], trace: Trace, method_of: Any = None) -> None:
        self.cells: list[tuple[str, Any, Any]] = []  # name, cell, its content
        self.globals: list[tuple[str, dict[str, Any], Any]] = []  # name, namespace, value
        self.inputs: list[Any] = []
        owner = getattr(function, "__self__", None)
        if isinstance(function, MethodType):
            held = getattr(owner, "__dict__", {})
            for name, value in held.items():
                if isinstance(value, (*PLAIN, Tensor)):
                    self.globals.append((name, held, value))
            function = function.__func__
        elif method_of is not None:
            held = getattr(method_of, "__dict__", {})
            read = _attributes_read(function, type(method_of))
            self.globals += [(name, held, held[name]) for name in sorted(read & held.keys())]
        if isinstance(function, FunctionType):
            names = function.__code__.co_freevars
            for name, cell in zip(names, function.__closure__ or (), strict=True):
                self.cells.append((name, cell, _content(cell)))
            space = function.__globals__
            used = {n for code in _codes(function.__code__) for n in code.co_names if n in space}
            for name in sorted(used):
                if not isinstance(space[name], ModuleType):
                    self.globals.append((name, space, space[name]))
        for name, _, value in (*self.cells, *self.globals):
            if isinstance(value, Tensor):
                trace.pin(value)
                trace.names.setdefault(value, name)

    def changed(self) -> str | None:
        """Which variable is not as it was, or None."""
        for name, cell, old in self.cells:
            new = _content(cell)
            if new is not old and not _same(old, new):
                return _reason(name, old, new)
        for name, space, old in self.globals:
            new = space.get(name)
            if new is not old and not _same(old, new):
                return _reason(name, old, new)
        return None

    def finish(self, trace: Trace) -> list[Any]:
        """After the function: raises where it has exchanged a variable."""
        for name, cell, old in self.cells:
            new = _content(cell)
            if new is not old and not _same(old, new):
                self.restore()
                raise _exchanged(name, new)
        for name, space, old in self.globals:
            new = space.get(name)
            if new is not old and not _same(old, new):
                self.restore()
                raise _exchanged(name, new)
        return []

    def restore(self) -> None:
        """Puts variables back as they were before the recording."""
        for _, cell, old in self.cells:
            if _content(cell) is not old:
                cell.cell_contents = old
        for name, space, old in self.globals:
            if space.get(name) is not old:
                space[name] = old

    def arrays(self) -> list[Any]:
        """Nothing: variables are conditions, not inputs."""
        return []

    def done(self, times: int = 1) -> None:
        """Nothing is kept."""

    def failed(self) -> None:
        """Nothing was changed."""


def _attributes_read(function: Any, kind: type) -> set[str]:
    """The names in a method, and in the methods that it names in turn.

    Not all attributes: a trainer counts its epochs, which is no reason to record its step again.
    """
    found: set[str] = set()
    left = [function]
    while left:
        member = left.pop()
        for wrapper in ("fget", "function", "__func__"):  # property, compiled, classmethod
            member = getattr(member, wrapper, member)
        code = getattr(member, "__code__", None)
        if not isinstance(code, CodeType):
            continue
        new = {name for part in _codes(code) for name in part.co_names} - found
        found |= new
        left += [inspect.getattr_static(kind, name, None) for name in new]
    return found


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _same(old: Any, new: Any) -> bool:
    return isinstance(old, PLAIN) and type(old) is type(new) and bool(old == new)


def _reason(name: str, old: Any, new: Any) -> str:
    if isinstance(old, PLAIN) and isinstance(new, PLAIN):
        return f"the variable {name} changed from {old!r} to {new!r}: pass it as an argument"
    return f"the variable {name} is another {type(new).__name__}"


def _exchanged(name: str, new: Any) -> TraceError:
    return TraceError(
        f"the variable {name} is set in a compiled function: that would happen once, while it is "
        "recorded",
        got=f"{name} = {type(new).__name__}",
        fix="return the value, or write into a tensor in place",
    )
