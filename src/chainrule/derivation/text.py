"""Derivations as text: one line a number, columns that stand under one another."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

from . import naming, writing
from .elements import Place
from .naming import Letters, Naming
from .parts import Derivation, Line, Section
from .writing import Numbers, Signs, Symbols, number

IN_ASCII = {
    "×": "*", "∂": "d", "ŷ": "yhat", "δ": "delta", "Δ": "change of ", "Σ": "sum ", "½": "1/2 ",
    "²": "^2", "σ": "sigmoid", "′": "'", "·": "*", "✔": "ok", "✖": "NO",
}  # fmt: skip
"""How words are spelled where there are no other letters."""

NAME = 28
"""Longer names do not decide where the next column begins."""


class Text:
    """Writes a derivation for a terminal of some width.

    plain: ASCII letters, and no columns: one fact a line, for a screen reader.
    """

    def __init__(
        self, d: Derivation, *, width: int = 100, digits: int = 6, ascii_only: bool = False,
        plain: bool = False,
    ) -> None:  # fmt: skip
        self.d = d
        self.width, self.digits, self.plain = width, digits, plain
        signs: Signs = writing.ASCII if ascii_only else writing.UNICODE
        letters: Letters = naming.ASCII if ascii_only else naming.UNICODE
        self.ascii_only = ascii_only
        self.name: Callable[[Place], str] = Naming(d, letters)
        if d.label is not None:
            label = d.label
            self.name = lambda place: label(place, ascii_only)
        self.symbols = Symbols(self.name, signs)
        self.numbers = Numbers(d.at, signs, digits)

    def lines(self) -> Iterator[str]:
        """All of it."""
        for line in (self.d.title, *self.d.conventions):
            yield from self.wrapped(self.words(line), "")
        for section in self.d.sections:
            yield from self.section(section)

    def words(self, text: str) -> str:
        """Words with formulas in them, in the letters that there are."""
        if not self.ascii_only:
            return text
        for sign, plain in IN_ASCII.items():
            text = text.replace(sign, plain)
        return text.encode("ascii", "backslashreplace").decode()

    def wrapped(self, text: str, indent: str) -> list[str]:
        """Words in lines of the width."""
        return textwrap.wrap(text, self.width, initial_indent=indent, subsequent_indent=indent)

    def section(self, section: Section) -> Iterator[str]:
        """A title, and its lines in columns."""
        title = f"{self.words(section.title)}   {self.words(section.note)}".rstrip()
        yield from self.wrapped(title, "")
        rows = [self.row(line) for line in section.lines]
        room = self.width - self.digits - 14  # for the value and the signs between the columns
        short = [r for r in rows if sum(map(len, r[:3])) <= room] or [("", "", "", "", "")]
        widths = [max(len(r[c]) for r in short) for c in range(3)]
        widths[0] = max([widths[0], *(len(r[0]) for r in rows if len(r[0]) <= NAME)])
        for *cells, value, note in rows:
            yield from self.laid_out(cells, value, note, widths)

    def laid_out(self, cells: list[str], value: str, note: str, widths: list[int]) -> Iterator[str]:
        """A row as a line, or as several where it is too long."""
        if self.plain:
            equal = " = ".join(c for c in (*cells, value) if c)
            yield f"  {equal}{f' ({note})' if note else ''}"
            return
        name, symbols, numbers = cells
        text = f"  {name:<{widths[0]}}"
        for cell, width in ((symbols, widths[1]), (numbers, widths[2])):
            if width:
                text += f" {'=' if cell else ' '} {cell:<{width}}"
        one = f"{text} = {value:>{self.digits + 3}}" if value else text
        blank = " " * (widths[0] + 2)
        if any(len(c) > w for c, w in zip(cells, widths, strict=True)):
            for first, cell in ((f"  {name:<{widths[0]}}", symbols), (blank, numbers)):
                for k, part in enumerate(_broken(cell, self.width - len(blank) - 3)):
                    yield f"{first if not k else blank} {' ' if k else '='} {part}"
            one = f"{blank} = {value}"
        if not note:
            yield one.rstrip()
        elif len(one) + 3 + len(note) <= self.width:
            yield f"{one}   {note}"
        else:
            yield one.rstrip()
            yield from self.wrapped(note, f"{blank}   ")

    def row(self, line: Line) -> tuple[str, str, str, str, str]:
        """name, symbols, numbers, value and note of a line."""
        name = line.what if isinstance(line.what, str) else self.name(line.what)
        symbols = "" if line.symbols is None else self.symbols.text(line.symbols)
        numbers = "" if line.numbers is None else self.numbers.text(line.numbers)
        value = "" if line.value is None else number(line.value, self.digits)
        if numbers == value:
            numbers = ""
        return self.words(name), symbols, numbers, value, self.words(line.note)


def _broken(formula: str, width: int) -> list[str]:
    """A formula in lines: between terms rather than in them, and not within brackets."""
    parts = [formula]
    for sign in (" + ", " - ", " * ", " × ", "·", "("):
        parts = [q for p in parts for q in (_cut(p, sign) if len(p) > width else [p])]
    lines = [""]
    for part in parts:
        space = "" if part[:1] in "·(" else " "
        if lines[-1] and len(lines[-1]) + len(space) + len(part) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]}{space}{part}".strip()
    return [w for line in lines for w in textwrap.wrap(line, width, break_long_words=False)]


def _cut(formula: str, sign: str) -> list[str]:
    """A formula cut before every such sign that stands in no bracket; of brackets only before a
    factor, not before what a function is of."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(formula):
        here = not depth and i > start and formula.startswith(sign, i)
        if here and (sign != "(" or formula[i - 1] in "])²³"):
            parts.append(formula[start:i])
            start = i + len(sign) - len(sign.lstrip())
        depth += (c == "(") - (c == ")")
    return [*parts, formula[start:]]
