"""What tests that hold the code to rules ask of a file; each file is parsed once for all."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Facts(NamedTuple):
    """functions: (line, name, lines); imports: (line, dots, module, names)."""

    functions: list[tuple[int, str, int]]
    imports: list[tuple[int, int, str, list[str]]]


@functools.cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def facts_of(path: Path) -> Facts:
    """The tree of a file is not kept: so many nodes cost seconds."""
    found = Facts([], [])
    for node in statements(text_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            found.functions.append((node.lineno, node.name, node.end_lineno - node.lineno))
        elif isinstance(node, ast.Import):
            found.imports.extend((node.lineno, 0, a.name, []) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [a.name for a in node.names]
            found.imports.append((node.lineno, node.level, node.module or "", names))
    return found


def statements(text: str) -> Iterator[Any]:
    """Every statement, within functions and branches too; expressions, nine nodes of ten, hold
    none and are left out."""
    stack: list[Any] = [ast.parse(text)]
    while stack:
        node = stack.pop()
        yield node
        for part in ("body", "handlers", "cases", "orelse", "finalbody"):
            stack += getattr(node, part, ())
