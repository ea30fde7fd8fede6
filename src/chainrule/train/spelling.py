"""Models, losses and optimizers as the Python text that makes them, as far as it can be known."""

from __future__ import annotations

import inspect
import math
import sys
from pathlib import Path
from typing import Any

from .. import nn
from ..errors import StateError
from ..nn import Module
from ..tensor.core import Tensor

HOLDERS = (nn.Sequential, nn.ModuleList)
"""Modules that are made from others."""


class UnknownSpellingError(StateError):
    """Something that no text is known for; `problem` says why."""


class Spelling:
    """Texts of things, and the imports that they need.

    A module's arguments are taken from its attributes of the same names, so a text may be wrong for
    a class that keeps them otherwise; the weights, when they are loaded, show it.
    """

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.folders: set[str] = set()  # where those are found

    def of(self, thing: Any) -> str:
        """The text that makes a module, or names a function.  Raises UnknownSpellingError."""
        if not isinstance(thing, Module):
            return self.named(thing)
        if type(thing) in HOLDERS:
            return self._holder(thing)
        return f"{self.named(type(thing))}({', '.join(self._arguments(thing))})"

    def _holder(self, module: Any) -> str:
        parts = dict(module.named_children())
        texts = {name: self.of(m) for name, m in parts.items()}
        head = self.named(type(module))
        if list(parts) == [str(i) for i in range(len(parts))]:
            inner = ", ".join(texts.values())
            return f"{head}({inner})" if type(module) is nn.Sequential else f"{head}([{inner}])"
        self.imports.add("from collections import OrderedDict")
        pairs = ", ".join(f"({name!r}, {text})" for name, text in texts.items())
        return f"{head}(OrderedDict([{pairs}]))"

    def _arguments(self, module: Module) -> list[str]:
        """The arguments that a module was made with, those at their defaults left out."""
        found = []
        kept = getattr(module, "settings", None)  # by a module whose attributes are other things
        kept = kept if isinstance(kept, dict) else {}
        for p in inspect.signature(type(module)).parameters.values():
            if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                continue
            value = kept.get(p.name, getattr(module, p.name, p.default))
            if isinstance(p.default, bool) and (value is None or isinstance(value, Tensor)):
                value = value is not None  # bias=True becomes a Parameter
            if isinstance(value, Tensor) and not value.shape:
                value = value.item()
            if value is p.default and value is not p.empty:
                continue
            if isinstance(value, Module):
                found.append(f"{p.name}={self.of(value)}")
                continue
            if not _is_plain(value):
                raise UnknownSpellingError(
                    f"{type(module).__name__} keeps no number or text as its argument {p.name}"
                )
            if value != p.default:
                found.append(f"{p.name}={value!r}")
        return found

    def named(self, thing: Any) -> str:
        """The name of a class or a function, with the import that gives it."""
        name = getattr(thing, "__qualname__", "")
        where = getattr(thing, "__module__", None)
        if not name or not where or "<" in name:
            raise UnknownSpellingError(
                f"{name or type(thing).__name__} is in no module that can be imported"
            )
        top, _, inner = where.partition(".")
        if top == "chainrule":
            part = inner.partition(".")[0]
            if getattr(sys.modules.get(f"{top}.{part}"), name, None) is thing:
                self.imports.add(f"from {top} import {part}")
                return f"{part}.{name}"
        else:
            where = self._users(where)
        self.imports.add(f"from {where} import {name.partition('.')[0]}")
        return str(name)

    def _users(self, where: str) -> str:
        """A module of the user's own; the program that was started goes by the name of its file."""
        module = sys.modules.get(where)
        file = getattr(module, "__file__", None)
        if file is None:
            raise UnknownSpellingError(f"{where} is no file")
        path = Path(file).resolve()
        if where == "__main__":
            where = path.stem
        package = path.name == "__init__.py"
        self.folders.add(str(path.parents[where.count(".") + package]))
        return where


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))
