"""What was found, as neutral blocks, and those as text and as HTML."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

SIGNS = {"ok": "ok", "error": "ERROR", "warning": "WARNING", "note": "note", "skipped": "skipped"}
WIDTH = 96


@dataclass
class Block:
    """One thing found: how bad, what, where, and labelled sentences."""

    severity: str
    title: str
    where: str
    entries: Sequence[tuple[str, str]]


def as_text(blocks: Sequence[Block]) -> str:
    """Lines of at most WIDTH characters."""
    lines = []
    for block in blocks:
        head = f"{SIGNS[block.severity]}: {block.title}"
        lines += textwrap.wrap(f"{head} ({block.where})" if block.where else head, WIDTH,
                               subsequent_indent="    ")  # fmt: skip
        for label, text in block.entries:
            lines += textwrap.wrap(
                text, WIDTH, initial_indent=f"  {label:<9} ", subsequent_indent=" " * 12
            )
    return "\n".join(lines)


def as_html(blocks: Sequence[Block], title: str) -> str:
    """Static HTML in the reader's own colours: words say what is bad, never a colour alone."""
    esc = html.escape
    out = [f'<section aria-label="{esc(title)}">']
    for block in blocks:
        where = f" <small>{esc(block.where)}</small>" if block.where else ""
        head = f"<strong>{esc(SIGNS[block.severity])}: {esc(block.title)}</strong>{where}"
        entries = "".join(
            f"<dt>{esc(label)}</dt><dd>{esc(text)}</dd>" for label, text in block.entries
        )
        out.append(f"<p>{head}</p>" + (f"<dl>{entries}</dl>" if entries else ""))
    return "".join([*out, "</section>"])
