"""What a walk through bytecode knows: values, the stack of the interpreter, whose code is whose."""

from __future__ import annotations

import dis
import functools
import os
import sys
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from ..errors import LIBRARY_DIR, PACKAGE_DIR

MOST = 64
"""What one place may hold; more is not followed."""


class Found(NamedTuple):
    """A value, and what the function calls it: self.cfg['clip']."""

    value: Any
    name: str


class Values(NamedTuple):
    """What a place may hold; each: it is what holds these, or one of them, in any way."""

    founds: tuple[Found, ...]
    each: bool = False


def one(value: Any, name: str) -> Values:
    """A place that holds one value for certain."""
    return Values((Found(value, name),))


NOTHING = Values(())
NULL = Values((), True)
"""The interpreter's NULL beside a function that is no method."""

PASSED_ON = {id(f) for f in (enumerate, zip, reversed, sorted, list, tuple, iter, set, map, filter)}
"""Builtins whose results hold the items that they were given, by address."""
GETTERS = {id(getattr), id(hasattr)}
IN_PLACE = frozenset({"append", "extend", "insert", "clear", "add", "update", "remove"})
"""Methods by which a list or dict is changed, and not read."""
KEPT = (
    "NOP", "RESUME", "JUMP", "POP_", "MAKE_CELL", "COPY_FREE", "PRECALL", "EXTENDED", "CACHE",
    "STORE_", "DELETE_", "RETURN", "END_", "NOT_TAKEN", "LIST_", "DICT_", "SET_", "MAP_", "RERAISE",
    "RAISE", "CHECK", "PREP",
)  # fmt: skip
"""How the names of instructions begin that leave what lies on the stack below as it is."""


@dataclass(frozen=True, eq=False)
class Nested:
    """A function that is made within a function: its code, and the variables around it."""

    code: CodeType
    env: dict[str, Values]
    space: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Super:
    """super(): the attributes of an object from the class after `start` on."""

    start: type
    instance: Found


def of_the_user(filename: str) -> bool:
    """Whether a file is neither Chainrule's, nor Python's, nor that of an installed package."""
    installed = f"-packages{os.sep}" in filename
    return not installed and not filename.startswith((PACKAGE_DIR, LIBRARY_DIR, "<frozen"))


def is_container(x: Any) -> bool:
    """Whether x is a list, dict or tuple that is read without code of the user's."""
    return (
        isinstance(x, (list, dict, tuple))
        and any(type(x).__getitem__ is kind.__getitem__ for kind in (list, dict, tuple))
    )  # fmt: skip


def is_library(module: ModuleType) -> bool:
    filename = getattr(module, "__file__", None)
    return (filename is None and module.__name__ != "__main__") or not of_the_user(filename or "")


@functools.lru_cache(maxsize=4096)
def users_class(cls: type) -> bool:
    codes = [v.__code__ for v in vars(cls).values() if isinstance(v, FunctionType)]
    if codes:
        return of_the_user(codes[0].co_filename)
    first = cls.__module__.partition(".")[0]
    return first not in ("builtins", "chainrule", "numpy")


def either(a: list[Any], b: list[Any]) -> list[Any]:
    """What the places of a stack may hold that is reached in two ways."""
    if len(a) != len(b):
        return a
    both = []
    for x, y in zip(a, b, strict=True):
        if x is y or not y.founds:
            both.append(x)
            continue
        known = {id(f.value) for f in x.founds}
        more = tuple(f for f in y.founds if id(f.value) not in known)
        both.append(Values((x.founds + more)[:MOST], x.each or y.each))
    return both


class Stack:
    """Places; below those that are known there are others, of which nothing is known."""

    def __init__(self) -> None:
        self.places: list[Values] = []
        self.left = False  # nothing comes here but by a jump

    def push(self, value: Values) -> None:
        """One place more."""
        self.places.append(value)

    def pop(self) -> Values:
        """The uppermost place."""
        return self.places.pop() if self.places else NOTHING

    def peek(self, depth: int) -> Values:
        """The place at a depth, 1 for the uppermost."""
        return self.places[-depth] if depth <= len(self.places) else NOTHING

    def swap(self, depth: int) -> None:
        """Exchanges the uppermost place and one below it."""
        if depth <= len(self.places):
            places = self.places
            places[-1], places[-depth] = places[-depth], places[-1]

    def after(self, change: int) -> list[Values]:
        """The places behind an instruction that jumps."""
        if change <= 0:
            return self.places[: max(0, len(self.places) + change)]
        return [*self.places, *[NOTHING] * change]

    def leave(self) -> None:
        """Nothing goes on from here."""
        self.places, self.left = [], True

    def arrive(self, jumped: list[Values] | None) -> None:
        """At an instruction that may have been jumped to."""
        if jumped is not None:
            self.places = list(jumped) if self.left else either(self.places, jumped)
        self.left = False

    def callable_below(self, at: dis.Instruction) -> None:
        """From Python 3.13 on a function lies below the NULL beside it."""
        if sys.version_info >= (3, 13) and len(self.places) > 1 and self.places[-2] is NULL:
            self.swap(2)
