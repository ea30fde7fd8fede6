"""What a function reads from around it: its bytecode is walked through, and that of the user's
functions, methods and properties that it reaches.

A walk follows what attributes, constant subscripts, items and calls lead to, from arguments,
closures and globals on.  It knows values, not the way that the function will take: what any branch
reads is noted.  No code of the user's runs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tensor.core import Tensor
from ..tensor.reached import ModuleLike, OptimizerLike
from .bytecode import Code
from .instructions import (
    NOTHING,
    Found,
    Nested,
    Super,
    Values,
    is_container,
    is_library,
    of_the_user,
    one,
    users_class,
)

if TYPE_CHECKING:
    from .variables import Conditions

DEEPEST = 12
"""Calls within calls that are followed."""
MOST_WALKS = 1000
MOST_ITEMS = 64
"""Of a list or dict whose items are compared."""


class Walk:
    """Follows what functions read, and tells `conditions` of every value on the way."""

    def __init__(self, conditions: Conditions) -> None:
        self.conditions = conditions
        self.depth = 0
        self.walked: set[Any] = set()
        self.alive: list[Any] = []  # what `walked` knows by its address
        self.waiting: dict[int, Found] = {}  # functions that were reached, and not called

    # ------------------------------------------------------------ calls

    def function(self, function: Any, args: Sequence[Values], named: dict[str, Values]) -> None:
        """All that a callable reads; the values of its arguments as far as they are known."""
        for given in (*args, *named.values()):
            self.reached(given)
        self.call(Found(function, ""), list(args), named, root=True)
        while self.waiting:
            _, found = self.waiting.popitem()
            self.call(found, [], {})

    def call(
        self, found: Found, args: list[Values], named: dict[str, Values], root: bool = False
    ) -> None:
        """What one callable reads when it is called."""
        f, name = found
        if isinstance(f, MethodType):
            self.call(Found(f.__func__, name), [one(f.__self__, "self"), *args], named, root)
        elif isinstance(f, Nested):
            self.walk(f.code, f.space, dict(f.env), args, named)
        elif isinstance(f, FunctionType):
            if root or of_the_user(f.__code__.co_filename):
                self._called(f, args, named)
        elif isinstance(f, functools.partial):
            given = [self._produced(one(a, f"{name}.args[{i}]")) for i, a in enumerate(f.args)]
            more = {k: self._produced(one(v, k)) for k, v in f.keywords.items()}
            self.call(Found(f.func, name), [*given, *args], {**more, **named}, root)
        elif isinstance(f, ModuleLike):
            for module in f.modules():
                self.conditions.reached(module)
                own = type(module).forward
                given = [one(module, type(module).__name__), *(args if module is f else [])]
                self.call(Found(own, name), given, named if module is f else {})
        elif isinstance(f, type):
            self._method(f, "__init__", [NOTHING, *args], named)
        elif "__wrapped__" in getattr(f, "__dict__", {}):
            self.call(Found(f.__wrapped__, name), args, named, root)
        elif not isinstance(f, (Tensor, OptimizerLike)):
            self._method(type(f), "__call__", [one(f, name or "self"), *args], named)

    def _method(self, cls: type, name: str, args: list[Values], named: dict[str, Values]) -> None:
        for owner in cls.__mro__:
            if name in owner.__dict__:
                if isinstance(owner.__dict__[name], FunctionType):
                    self.call(Found(owner.__dict__[name], name), args, named)
                return

    def _called(self, f: FunctionType, args: list[Values], named: dict[str, Values]) -> None:
        code, env = f.__code__, {}
        conditions = self.conditions
        conditions.attribute(f, "__code__", f"{f.__name__}.__code__")
        conditions.attribute(f, "__defaults__", f"the defaults of {f.__name__}")
        for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=True):
            try:
                env[name] = one(cell.cell_contents, name)
            except ValueError:  # not set yet
                continue
            if name != "__class__":
                conditions.attribute(cell, "cell_contents", name)
                self._produced(env[name])
        defaults = f.__defaults__ or ()
        places = code.co_varnames[: code.co_argcount]
        for name, value in zip(places[len(places) - len(defaults) :], defaults, strict=True):
            env[name] = one(value, name)
        for name, value in (f.__kwdefaults__ or {}).items():
            conditions.item(f.__kwdefaults__, name, name)
            env[name] = one(value, name)
        self.walk(code, f.__globals__, env, args, named)

    def walk(
        self, code: CodeType, space: dict[str, Any], env: dict[str, Values], args: list[Values],
        named: dict[str, Values],
    ) -> None:  # fmt: skip
        """What one piece of code reads."""
        count = code.co_argcount + code.co_kwonlyargcount
        bound = dict(zip(code.co_varnames[: code.co_argcount], args, strict=False))
        bound.update({k: v for k, v in named.items() if k in code.co_varnames[:count]})
        self.alive.append(bound)
        key = (code, *((k, *(id(f.value) for f in v.founds)) for k, v in sorted(bound.items())))
        if key in self.walked or self.depth >= DEEPEST or len(self.walked) >= MOST_WALKS:
            return
        self.walked.add(key)
        self.depth += 1
        Code(self, code, space, {**env, **bound}).run()
        self.depth -= 1

    def reached(self, values: Values) -> None:
        """Functions and modules that were passed on, and are called where this does not see it."""
        for found in values.founds:
            if isinstance(found.value, OptimizerLike):
                self.conditions.reached(found.value)
            elif callable(found.value) and not isinstance(found.value, (Tensor, type)):
                self.waiting.setdefault(id(found.value), found)
                self.alive.append(found.value)

    def _produced(self, values: Values) -> Values:
        self.reached(values)
        return values

    # ------------------------------------------------------------ attributes

    def attribute(self, values: Values, name: str) -> Values:
        """x.name for everything that x may be."""
        found: list[Found] = []
        for x in values.founds:
            found += self._attribute(x, name)
        return self._produced(Values(tuple(found), values.each))

    def _attribute(self, x: Found, name: str) -> Iterator[Found]:
        v, path = x.value, f"{x.name}.{name}"
        if isinstance(v, ModuleType):
            if not is_library(v) and name in v.__dict__:
                yield self.conditions.item(v.__dict__, name, path)
            return
        if isinstance(v, Super):
            order = type(v.instance.value).__mro__
            after = order[order.index(v.start) + 1 :] if v.start in order else ()
            yield from self._of_class(v.instance, after, name, path)
            return
        if isinstance(v, type):
            yield from self._of_class(None, v.__mro__, name, path)
            return
        cls: Any = type(v)
        if isinstance(v, (*OPAQUE, Nested)) or cls.__getattribute__ not in READS:
            return
        raw = next((c.__dict__[name] for c in cls.__mro__ if name in c.__dict__), None)
        held = getattr(v, "__dict__", None)
        if isinstance(raw, property):
            if raw.fget is not None:
                self.call(Found(raw.fget, path), [Values((x,))], {})
        elif type(raw).__name__ == "member_descriptor":
            if hasattr(v, name):
                yield self.conditions.attribute(v, name, path)
        elif isinstance(held, dict) and name in held:
            yield self.conditions.item(held, name, path)
        else:
            if isinstance(held, dict) and (raw is None or users_class(cls)):
                self.conditions.absent(held, name, path)
            yield from self._of_class(x, cls.__mro__, name, path)
            if raw is None:
                self._method(cls, "__getattr__", [Values((x,))], {})
                self.items(x)  # a dict whose items are attributes

    def _of_class(
        self, instance: Found | None, order: Sequence[type], name: str, path: str
    ) -> Iterator[Found]:
        """What the classes of the user in an order of resolution hold under a name."""
        for cls in order:
            if not users_class(cls):
                if name in cls.__dict__:
                    return
                continue
            if name not in cls.__dict__:
                self.conditions.absent(cls.__dict__, name, path, cls)
                continue
            raw = self.conditions.item(cls.__dict__, name, path, cls).value
            if isinstance(raw, staticmethod):
                raw = raw.__func__
            elif isinstance(raw, classmethod):
                raw = MethodType(raw.__func__, cls if instance is None else type(instance.value))
            elif isinstance(raw, FunctionType) and instance is not None:
                raw = MethodType(raw, instance.value)
            yield Found(raw, path)
            return

    # ------------------------------------------------------------ items

    def subscript(self, values: Values, index: Values) -> Values:
        """x[index]; all items where the index is not known."""
        if values.each:
            return values
        known = len(index.founds) == 1 and not index.each
        key = index.founds[0].value if known else None
        found: list[Found] = []
        for x in values.founds:
            v, name = x
            if not is_container(v):
                if isinstance(v, ModuleLike):
                    found += self.items(x)
                elif not isinstance(v, OPAQUE):
                    self._method(type(v), "__getitem__", [Values((x,)), index], {})
            elif isinstance(v, dict) and isinstance(key, (int, str)):
                if key in v:
                    found.append(self.conditions.item(v, key, f"{name}[{key!r}]"))
            elif not isinstance(v, dict) and isinstance(key, int):
                if -len(v) <= key < len(v):
                    found.append(self.conditions.item(v, key, f"{name}[{key!r}]"))
            else:
                found += self.items(x, whole=not isinstance(v, dict))
        return self._produced(Values(tuple(found), each=not known))

    def items(self, x: Found, whole: bool = True, depth: int = 3) -> list[Found]:
        """All items of a list, tuple, dict or module; whole: their number is compared too."""
        v, name = x
        if isinstance(v, ModuleLike):
            return [Found(m, f"{name}[{k!r}]") for k, m in v.named_children()]
        if not is_container(v) or not depth:
            return []
        if whole and not isinstance(v, tuple):
            self.conditions.length(v, name)
        if len(v) > MOST_ITEMS:
            return []
        keys = list(v) if isinstance(v, dict) else list(range(len(v)))
        found = [self.conditions.item(v, k, f"{name}[{k!r}]") for k in keys]
        for inner in found:
            self.items(inner, whole, depth - 1)
        self.reached(Values(tuple(found)))
        return found

    def each(self, values: Values) -> Values:
        """What a loop over something gives."""
        if values.each:
            return values
        found: list[Found] = []
        for x in values.founds:
            found += self.items(x)
        return self._produced(Values(tuple(found), each=True))

    def used(self, values: Values) -> None:
        """A value goes where this does not look: all items of a list or dict count."""
        if not values.each:
            for x in values.founds:
                if not isinstance(x.value, ModuleLike):
                    self.items(x)


READS = [kind.__getattribute__ for kind in (object, dict, list, tuple)]
"""Ways to read an attribute that run no code of the user's."""
OPAQUE = (Tensor, OptimizerLike, np.ndarray, np.generic, bool, int, float, str, bytes, type(None))
"""What is compared as a whole: the settings of an optimizer are inputs of the program."""
