"""Values that a function takes from around it: they are part of the program, so they are compared
at every call.

What the function reads is found in its bytecode (`reads`).  Every step of the way is one look-up
that is compared: that the attribute cfg of this object is this dict, and that its item 'clip' is
1.0.  A step that leads elsewhere means another program, so the steps behind it may be fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import contains, eq, getitem, is_
from types import MappingProxyType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import TraceError, describe_site
from ..tensor.core import Tensor
from ..tensor.reached import Reached
from .instructions import NOTHING, Found, Values
from .reads import Walk

if TYPE_CHECKING:
    from ..tensor.tracing import Trace

PLAIN = (bool, int, float, str, bytes, type(None), np.generic)


class Steps:
    """Look-ups of one kind: what was found where."""

    def __init__(self, read: Callable[[Any, Any], Any]) -> None:
        self.read = read
        self.holders: list[Any] = []
        self.keys: list[Any] = []
        self.olds: list[Any] = []
        self.names: list[str] = []
        self.owners: list[Any] = []  # where it can be set again

    def add(self, holder: Any, key: Any, old: Any, name: str, owner: Any) -> None:
        """One more look-up."""
        self.holders.append(holder)
        self.keys.append(key)
        self.olds.append(old)
        self.names.append(name)
        self.owners.append(owner)

    def drop(self, unwanted: Callable[[Any, Any], bool]) -> None:
        """Takes out what somebody else compares."""
        rows = zip(self.holders, self.keys, self.olds, self.names, self.owners, strict=True)
        kept = [row for row in rows if not unwanted(row[0], row[1])]
        self.holders, self.keys, self.olds, self.names, self.owners = (
            map(list, zip(*kept, strict=True)) if kept else ([], [], [], [], [])
        )

    def same(self) -> bool:
        """Whether every look-up finds the very same object."""
        return all(map(is_, map(self.read, self.holders, self.keys), self.olds))

    def now(self, i: int) -> Any:
        """What a look-up finds now; `NOTHING` for nothing."""
        try:
            return self.read(self.holders[i], self.keys[i])
        except (LookupError, AttributeError, ValueError):
            return NOTHING

    def first_changed(self) -> tuple[str, Any, Any] | None:
        """(name, old, new) of a value that changed; equal numbers and texts count as the same."""
        for i, old in enumerate(self.olds):
            new = self.now(i)
            if new is not old:
                if not _same(old, new):
                    return self.names[i], old, new
                self.olds[i] = new
        return None

    def restore(self) -> None:
        """Puts everything back."""
        for i, old in enumerate(self.olds):
            if self.now(i) is not old:
                if self.read is getitem and self.owners[i] is None:
                    self.holders[i][self.keys[i]] = old
                else:
                    setattr(self.owners[i] or self.holders[i], self.keys[i], old)


class Conditions:
    """What was found, as look-ups that are compared at every call."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.items = Steps(getitem)
        self.attributes = Steps(getattr)
        self.missing = Steps(contains)
        self.sized: list[Any] = []
        self.lengths: list[int] = []
        self.size_names: list[str] = []
        self.contents: list[Any] = []
        self.known: set[Any] = set()
        self.sites = trace.sites

    def item(self, holder: Any, key: Any, name: str, owner: Any = None) -> Found:
        """holder[key] of a dict, list or the attributes of an object; owner: of which class."""
        old = holder[key]
        if not isinstance(holder, tuple) and self._new("item", owner, holder, key, old, name):
            self.items.add(holder, key, old, name, owner)
        return Found(old, name)

    def attribute(self, x: Any, attribute: str, name: str) -> Found:
        """x.attribute, where reading it runs no code."""
        old = getattr(x, attribute)
        if self._new("attribute", None, x, attribute, old, name):
            self.attributes.add(x, attribute, old, name, None)
        return Found(old, name)

    def absent(self, holder: Any, key: str, name: str, owner: Any = None) -> None:
        """A name that is looked for, and found elsewhere or not at all."""
        if self._new("absent", owner, holder, key, None, name):
            self.missing.add(holder, key, False, name, owner)

    def length(self, holder: Any, name: str) -> None:
        """How many items a list or dict has."""
        if self._new("length", None, holder, None, None, name):
            self.sized.append(holder)
            self.lengths.append(len(holder))
            self.size_names.append(name)
            self.contents.append(holder.copy())

    def reached(self, x: Reached) -> None:
        """A module or an optimizer, which may note how it is now."""
        x._reached(self.trace)

    def _new(self, kind: str, owner: Any, holder: Any, key: Any, old: Any, name: str) -> bool:
        step = kind, id(holder if owner is None else owner), key
        if step in self.known:
            return False
        self.known.add(step)
        if isinstance(old, Tensor):
            self.trace.pin(old)
            if type(old) is Tensor:  # parameters: modules say what those are called
                self.trace.names.setdefault(old, name)
        return True


class Variables:
    """The conditions of one program."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
        names: list[str], trace: Trace,
    ) -> None:  # fmt: skip
        self.inputs: list[Any] = []
        found = self.found = Conditions(trace)
        names = [*names, *[f"argument {i}" for i in range(len(names), len(args))]]
        given = [_given(x, name) for x, name in zip(args, names, strict=False)]
        Walk(found).function(function, given, {k: _given(x, k) for k, x in kwargs.items()})

    def changed(self) -> str | None:
        """Which value is not as it was, or None."""
        found = self.found
        try:
            if (
                found.items.same()
                and (not found.attributes.keys or found.attributes.same())
                and (not found.missing.keys or found.missing.same())
                and (not found.sized or all(map(eq, map(len, found.sized), found.lengths)))
            ):
                return None
        except (LookupError, AttributeError, ValueError):  # gone
            pass
        for steps in (found.items, found.attributes):
            change = steps.first_changed()
            if change is not None:
                return _reason(*change)
        change = found.missing.first_changed()
        if change is not None:
            return f"{change[0]} is new"
        for held, length, name in zip(found.sized, found.lengths, found.size_names, strict=True):
            if len(held) != length:
                return f"{name} has {len(held)} items, and had {length}"
        return None

    def finish(self, trace: Trace) -> list[Any]:
        """After the function: raises where it has changed what it reads."""
        found = self.found
        for i, (held, name) in enumerate(zip(found.sized, found.size_names, strict=True)):
            if isinstance(held, dict) and found.contents[i].keys() <= held.keys():
                found.lengths[i] = len(held)  # a cache that was filled
            elif len(held) != found.lengths[i]:
                raise self._set(name, f"{len(held)} items, where {found.lengths[i]} were")
        for steps in (found.items, found.attributes):
            change = steps.first_changed()
            if change is not None and (change[0].isidentifier() or not _made(trace, change[2])):
                raise self._set(change[0], _brief(change[2]))
        change = found.missing.first_changed()
        if change is not None:
            raise self._set(change[0], "a new attribute")
        modules = [part.held for part in trace.parts.values() if hasattr(part, "modeless")]
        if modules:
            compared = {id(m.__dict__): held for m, held in modules[0].items()}
            found.items.drop(lambda holder, key: key in compared.get(id(holder), ()))
            found.missing.drop(lambda holder, key: id(holder) in compared)
        found.contents.clear()
        found.known.clear()
        del found.trace
        return []

    def _set(self, name: str, got: str) -> TraceError:
        return TraceError(
            f"{_called(name)} is set in a compiled function: that would happen once, while it is "
            "recorded",
            got=f"{name} = {got}",
            fix="return the value and set it outside, or write into a tensor in place",
            line=describe_site(self.found.sites.get(name)),
        )

    def restore(self) -> None:
        """Puts everything back as it was before the recording."""
        found = self.found
        for held, content in zip(found.sized, found.contents, strict=False):
            if isinstance(held, list) and len(held) != len(content):
                held[:] = content
        found.items.restore()
        found.attributes.restore()
        missing = found.missing
        for i, (holder, key) in enumerate(zip(missing.holders, missing.keys, strict=True)):
            if missing.now(i):
                if isinstance(holder, MappingProxyType):
                    delattr(missing.owners[i], key)
                else:
                    del holder[key]

    def alternates(self, other: Any) -> bool:
        """Whether another program's steps may stand between: no step sets a variable."""
        return type(other) is Variables

    def arrays(self) -> list[Any]:
        """Nothing: variables are conditions, not inputs."""
        return []

    def done(self, times: int = 1) -> None:
        """Nothing is kept."""

    def failed(self) -> None:
        """Nothing was changed."""


def _given(x: Any, name: str) -> Values:
    """An argument: objects are the same at every call of a program, numbers and tensors are not."""
    if isinstance(x, (list, tuple, dict)):
        parts = [_given(v, name) for v in (x.values() if isinstance(x, dict) else x)]
        return Values(tuple(f for p in parts for f in p.founds), each=True)
    if isinstance(x, (Tensor, np.ndarray, *PLAIN)):
        return NOTHING
    return Values((Found(x, name),))


def _made(trace: Trace, x: Any) -> bool:
    """Whether x is a tensor of the recording: it is found, and said, when the trace is closed."""
    return isinstance(x, Tensor) and not trace.existed(x)


def _is_plain(x: Any) -> bool:
    return isinstance(x, PLAIN) or (isinstance(x, tuple) and all(map(_is_plain, x)))


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, MethodType) and isinstance(new, MethodType):
        return old.__self__ is new.__self__ and old.__func__ is new.__func__
    return type(old) is type(new) and _is_plain(old) and _is_plain(new) and bool(old == new)


def _brief(x: Any) -> str:
    return repr(x)[:60] if _is_plain(x) else type(x).__name__


def _called(name: str) -> str:
    return f"the variable {name}" if name.isidentifier() else name


def _reason(name: str, old: Any, new: Any) -> str:
    if new is NOTHING:
        return f"{_called(name)} is gone"
    if name.startswith("the defaults of "):
        return f"{name} changed from {old!r} to {new!r}"[:200]
    if _is_plain(old) and _is_plain(new):
        return f"{_called(name)} changed from {old!r} to {new!r}: pass it as an argument"
    return f"{_called(name)} is another {type(new).__name__}"
