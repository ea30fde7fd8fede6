"""HTML for notebooks: static, without scripts, in the colours of the page that it lands in.

A notebook's outputs all end up in one document, so every id and class has a prefix, ids are
unique, and text that comes from elsewhere is escaped.
"""

from __future__ import annotations

import html
import itertools
import json
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

BLUE, VERMILLION = "#0072B2", "#D55E00"
"""Both stand out from white and from dark pages by more than 3 to 1."""
DARKEST = (68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)
"""Five points of the viridis map."""
STYLE = (
    "<style>"
    ".chainrule-html{color:inherit;font-size:.95em;line-height:1.4}"
    ".chainrule-html table{border-collapse:collapse;font-variant-numeric:tabular-nums;"
    "color:inherit;background:none}"
    ".chainrule-html th,.chainrule-html td{text-align:left;padding:.15em .7em;color:inherit;"
    "background:none;border-bottom:1px solid rgba(128,128,128,.5)}"
    ".chainrule-html td.chainrule-number,.chainrule-html th.chainrule-number{text-align:right}"
    ".chainrule-html caption{text-align:left;caption-side:top;color:inherit}"
    ".chainrule-html svg text{fill:currentColor;font-size:13px}"
    ".chainrule-html pre{overflow:auto;color:inherit;background:none}"
    ".chainrule-html figure{margin:.5em 0}"
    "@media print{.chainrule-html{break-inside:avoid}}"
    "</style>"
)
_shown = itertools.count(1)


def escape(text: object) -> str:
    """Text as text, within an element or an attribute."""
    return html.escape(str(text), quote=True)


def in_script(value: Any) -> str:
    """JSON within a script element, which no text in it can end early."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def unique(content: str) -> str:
    """An id that nothing else in a document has."""
    return f"chainrule-{zlib.crc32(content.encode('utf-8', 'replace')):08x}-{next(_shown)}"


def block(title: str, *parts: str) -> str:
    """A titled piece of a notebook."""
    name = unique(title + "".join(parts))
    return (
        f'{STYLE}<div class="chainrule-html" role="group" aria-labelledby="{name}">'
        f'<div id="{name}"><strong>{escape(title)}</strong></div>{"".join(parts)}</div>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "",
          numbers: Sequence[int] = ()) -> str:  # fmt: skip
    """A table; every cell is text, but a `Raw`.  numbers: the columns that stand to the right."""

    def cell(tag: str, i: int, value: str, scope: str = "") -> str:
        kind = ' class="chainrule-number"' if i in numbers else ""
        text = value.html if isinstance(value, Raw) else escape(value)
        return f"<{tag}{scope}{kind}>{text}</{tag}>"

    top = "".join(cell("th", i, h, ' scope="col"') for i, h in enumerate(head))
    lines = []
    for row in rows:
        first, *rest = row
        cells = [cell("th", 0, first, ' scope="row"')]
        cells += [cell("td", i, v) for i, v in enumerate(rest, 1)]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The same as lines of text: the first column to the left, the others to the right.

    >>> aligned(["a", "loss"], [["fc1", "0.5"]])
    ['a    loss', 'fc1   0.5']
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]),
                       *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in lines]  # fmt: skip


class Raw(str):
    """HTML of our own in a cell; `str()` of it is what it says."""

    __slots__ = ("html",)

    def __new__(cls, text: str, html: str) -> Raw:
        made = super().__new__(cls, text)
        made.html = html
        return made

    html: str


def folded(summary: str, inside: str) -> str:
    """What is opened by a click, without a script."""
    return f"<details><summary>{escape(summary)}</summary>{inside}</details>"


def picture(width: int, height: int, title: str, says: str, *parts: str) -> str:
    """An SVG with a title and a sentence for those who don't see it."""
    name = unique(title + says)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'style="max-width:100%;height:auto" aria-labelledby="{name} {name}-says">'
        f'<title id="{name}">{escape(title)}</title><desc id="{name}-says">{escape(says)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def colour_at(share: float) -> str:
    """The colour of a share from 0 to 1, dark to bright."""
    place = min(max(share, 0.0), 1.0) * (len(DARKEST) - 1)
    i = min(int(place), len(DARKEST) - 2)
    mixed = (a + (b - a) * (place - i) for a, b in zip(DARKEST[i], DARKEST[i + 1], strict=True))
    return "#" + "".join(f"{round(c):02x}" for c in mixed)


def stretches(fills: Sequence[str]) -> list[tuple[str, int, int]]:
    """Neighbours that look alike as one: (fill, first, one after the last).

    >>> stretches(["a", "a", "b"])
    [('a', 0, 2), ('b', 2, 3)]
    """
    found: list[tuple[str, int, int]] = []
    for j, fill in enumerate(fills):
        if found and found[-1][0] == fill:
            found[-1] = (fill, found[-1][1], j + 1)
        else:
            found.append((fill, j, j + 1))
    return found


def number(value: float) -> str:
    """Four digits."""
    return f"{value:.4g}"


def counted(count: int, what: str) -> str:
    """A number of things: `1 row`, `2 rows`."""
    return f"{count} {what}{'s' * (count != 1)}"


def cut(words: str, most: int) -> str:
    """Words that fit, with a sign where they were cut."""
    return words if len(words) <= most else words[: most - 1] + "\u2026"


def size_text(count: int) -> str:
    """Bytes in a unit that suits them: 1.2 kB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
