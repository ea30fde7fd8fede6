"""The statements of a file, for tests that hold its text to rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any


def statements(text: str) -> Iterator[Any]:
    """Every statement, within functions and branches too; expressions, nine nodes of ten, hold
    none and are left out."""
    stack: list[Any] = [ast.parse(text)]
    while stack:
        node = stack.pop()
        yield node
        for part in ("body", "handlers", "cases", "orelse", "finalbody"):
            stack += getattr(node, part, ())
