"""Figures as a page in Markdown: tables, and what a reader must know to compare them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from .environment import machine


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """The lines of a table.  words: so many columns stand to the left, the others are numbers."""
    rule = "|" + "---|" * words + "---:|" * (len(head) - words)
    first, *others = ("| " + " | ".join(cells) + " |" for cells in (head, *rows))
    return [first, rule, *others]


def page(title: str, script: str, about: str, packages: Sequence[str], text: str) -> str:
    """A page of figures.  script: what writes it; about: how they were taken; packages: whose
    versions matter."""
    here = machine()
    versions = ", ".join(f"{name} {here['versions'][name]}" for name in packages)
    return (
        f"# {title}\n\n"
        f"Written by `python benchmarks/{script} --write`; what is measured stands at the top of "
        f"that file. {about}\n\n"
        f"{here['processor']}, {here['cores']} cores, Python {here['python']}, {versions}; load "
        f"average at the end {os.getloadavg()[0]:.1f}.\n\n{text}\n"
    )
