"""Texts and numbers as C writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from .answering import TEXT, Given


def literal_text(text: str) -> str:
    """A text as a literal: ASCII, bytes of UTF-8 in octal, no trigraph."""
    out = []
    for byte in text.encode("utf-8", "surrogatepass"):
        sign = chr(byte)
        plain = 32 <= byte < 127 and sign not in '"\\?'
        out.append(sign if plain else f"\\{byte:03o}")
    return f'"{"".join(out)}"'


def double(value: float) -> str:
    """A number with every bit."""
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return repr(float(value))


def text_list(name: str, texts: Iterable[str]) -> Iterator[str]:
    """An array of texts."""
    listed = list(texts)
    yield f"static const char *const {name}[{max(len(listed), 1)}] = {{"
    yield from (f"    {literal_text(text)}," for text in listed or [""])
    yield "};"


def text_lists(columns: list[Given]) -> tuple[list[str], list[int]]:
    """(arrays of texts with their codes, for each column which of them it has): alike ones once."""
    lines: list[str] = []
    known: dict[tuple[tuple[str, int], ...], int] = {}
    numbers = []
    for column in columns:
        if column.kind != TEXT:
            numbers.append(-1)
            continue
        # in C a text ends with its first byte of 0: one that has more is none that can be given
        pairs = ((t, c) for t, c in column.codes.items() if "\0" not in t)
        key = tuple(sorted(pairs, key=lambda pair: pair[0].encode("utf-8", "surrogatepass")))
        if key not in known:
            known[key] = len(known)
            lines += ["", *text_list(f"texts_{known[key]}", (t for t, _ in key))]
            codes = ", ".join(str(c) for _, c in key) or "0"
            lines.append(f"static const int codes_{known[key]}[{max(len(key), 1)}] = {{{codes}}};")
        numbers.append(known[key])
    return lines, numbers
