"""A derivation as a piece of a page: MathML with its text, one table a section, nothing fetched.

No script, no id, no image: it stands in a notebook, in a report or alone, and prints as it is.
Colours and the font are those of the page around it.
"""

from __future__ import annotations

from ..markup import escape
from .mathml import MathML, mn, mo, mrow, name
from .parts import Derivation, Line, Section
from .text import Text

STYLE = """
.chainrule-derivation { max-width: 70em; overflow-x: auto; color: inherit; }
.chainrule-derivation table { border-collapse: collapse; margin: 0 0 1em; }
.chainrule-derivation caption { text-align: left; padding: 0.3em 0; }
.chainrule-derivation :is(td, th) { text-align: left; padding: 0.35em 1.2em 0.35em 0;
  border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
.chainrule-derivation th { font-weight: normal; white-space: nowrap; }
.chainrule-derivation td > div { margin: 0.15em 0; }
.chainrule-derivation td.value { text-align: right; font-variant-numeric: tabular-nums; }
.chainrule-derivation math { font-size: 1.05em; white-space: nowrap; }
.chainrule-derivation pre { white-space: pre-wrap; }
@media print { .chainrule-derivation tr { break-inside: avoid; } }
"""


def fragment(d: Derivation, digits: int = 6) -> str:
    """A derivation as HTML; its text stands below it, to be read aloud or copied."""
    written = Page(d, digits)
    parts = [f'<section class="chainrule-derivation" lang="en"><style>{STYLE}</style>']
    parts.append(f"<h3>{escape(d.title)}</h3>")
    parts += [f"<p>{escape(text)}</p>" for text in d.conventions]
    parts += [written.section(s) for s in d.sections]
    text = escape("\n".join(Text(d, width=100, digits=digits).lines()))
    parts.append(
        f"<details><summary>The same as text</summary><pre>{text}</pre></details></section>"
    )
    return "\n".join(parts)


class Page:
    """Writes sections with the names and numbers of one derivation."""

    def __init__(self, d: Derivation, digits: int = 6) -> None:
        self.text = Text(d, digits=digits)
        self.digits = digits
        self.symbols = MathML(self.text.name, None, digits)
        self.numbers = MathML(self.text.name, d.at, digits)

    def section(self, section: Section) -> str:
        """A table of lines under its title."""
        caption = f"<strong>{escape(section.title)}</strong> {escape(section.note)}".rstrip()
        if not section.lines:
            return f"<p>{caption}</p>"
        rows = "\n".join(map(self.line, section.lines))
        return f"<table><caption>{caption}</caption><tbody>\n{rows}\n</tbody></table>"

    def line(self, line: Line) -> str:
        """name | name = symbols = numbers | value | note."""
        label, symbols, numbers, value, note = self.text.row(line)
        formula = ""
        if line.symbols is not None:
            formula = f"<div>{_math(symbols, self.symbols.pieces(line.symbols))}</div>"
            if numbers and line.numbers is not None:
                steps = self.numbers.pieces(line.numbers)
                steps[0] = mrow(mo("="), steps[0])
                formula += f"<div>{_math(numbers, steps)}</div>"
            formula += f"<div>{escape(note)}</div>" if note else ""
            note = ""
        first = _math(label, [name(label)]) if not isinstance(line.what, str) else escape(label)
        number = value if line.value is None else _math(value, [mn(line.value, self.digits)])
        return (
            f'<tr><th scope="row">{first}</th><td>{formula}</td>'
            f'<td class="value">{number}</td><td>{escape(note)}</td></tr>'
        )


def _math(text: str, pieces: list[str]) -> str:
    """A formula, in pieces between which a line can break; its text goes with the first."""
    first, *rest = pieces
    said = f'<math displaystyle="true" alttext="{escape(text)}">{first}</math>'
    return " ".join([said, *(f'<math displaystyle="true">{piece}</math>' for piece in rest)])
