"""What the terminal can do, found once: width, colours, signs, whether it can be redrawn."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO

from .names import COMMANDS

Segment = tuple[str, str]
"""A piece of text and its style: a name of `STYLES`, or '' for none."""
Line = list[Segment]

STYLES = {
    "strong": "1",
    "faint": "2",
    "ok": "32",
    "warn": "33",
    "bad": "31",
    "bar": "36",
}
"""SGR codes; colour only ever repeats what a word or a sign says."""


@dataclass(frozen=True)
class Signs:
    """The characters that a view is drawn with."""

    ok: str
    warn: str
    bad: str
    bar: tuple[str, str, str]  # done, the half step, to do
    spark: str
    dot: str
    times: str
    shades: str


UNICODE = Signs("✔", "!", "✖", ("━", "╸", "─"), "▁▂▃▄▅▆▇█", "·", "\u00d7", " ░▒▓█")
ASCII = Signs("ok", "!", "X", ("#", ">", "-"), "_.-=+*#@", "|", "x", " .+#@")


@dataclass(frozen=True)
class Terminal:
    """How to write to one stream.

    live: it may be redrawn; colour: SGR codes are welcome; plain: one fact a line, for a screen
    reader.
    """

    width: int = 80
    height: int = 24
    signs: Signs = UNICODE
    colour: bool = False
    live: bool = False
    plain: bool = False

    def paint(self, line: Line) -> str:
        """The line as text, coloured where that is wanted, without spaces at its end."""
        if not self.colour:
            return text_of(line).rstrip()
        return "".join(
            f"\x1b[{STYLES[style]}m{text}\x1b[0m" if style and text else text
            for text, style in line
        ).rstrip()


def text_of(line: Line) -> str:
    """The characters of a line."""
    return "".join(text for text, _ in line)


def crop(line: Line, width: int) -> Line:
    """The line cut at `width` characters."""
    kept: Line = []
    for text, style in line:
        if width <= 0:
            break
        kept.append((text[:width], style))
        width -= len(text)
    return kept


def wrap(parts: Iterable[Line], width: int, gap: Line) -> list[Line]:
    """Parts side by side with `gap` between them, on as many lines as they need."""
    lines: list[Line] = []
    for part in parts:
        size = len(text_of(part))
        if lines and len(text_of(lines[-1])) + len(text_of(gap)) + size <= width:
            lines[-1] += [*gap, *part]
        else:
            lines.append(crop(part, width))
    return lines


NO_BREAK = "\x00"
"""Between a number and its per cent sign."""


def words(text: str, width: int, style: str = "", indent: str = "") -> list[Line]:
    """A sentence on as many lines as it needs; lines after the first start with `indent`."""
    lines: list[str] = []
    for word in re.sub(r" %(?=[ ,.;)]|$)", NO_BREAK + "%", text).split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append((indent if lines else "") + word)
    return [crop([(line.replace(NO_BREAK, " "), style)], width) for line in lines]


def rows(text: str, width: int) -> str:
    """The lines of an error on as many as they need; what is to be copied stays on one.

    A line with a label (`  expected  ...`) goes on below its value.
    """
    out: list[str] = []
    for line in text.splitlines():
        if len(line) <= width or COMMAND.search(line):
            out.append(line)
            continue
        label = re.match(r" +\S+ {2,}", line)
        indent = label.end() if label and label.end() * 3 <= width else 4
        out += textwrap.wrap(
            line, width, subsequent_indent=" " * indent, break_long_words=False,
            break_on_hyphens=False, drop_whitespace=True, replace_whitespace=False,
        )  # fmt: skip
    return "\n".join(out)


COMMAND = re.compile(rf"\bchainrule (?=(?:{'|'.join(COMMANDS)}|--help)\b)")
"""Where a text says what to type."""


def as_typed(text: str) -> str:
    """A text with commands as this user has to type them: by its path where it isn't on PATH."""
    typed = sys.argv[0]
    if os.path.basename(typed) != "chainrule" or shutil.which("chainrule"):
        return text
    return COMMAND.sub(lambda match: f"{typed} ", text)


def detect(stream: IO[str], env: Mapping[str, str] = os.environ, plain: bool = False) -> Terminal:
    """What `stream` can do.

    NO_COLOR (not empty) takes colours away, else FORCE_COLOR gives them; CI and TERM=dumb mean
    that nothing is redrawn; an encoding without the signs gets ASCII; COLUMNS sets the width.
    """
    tty = stream.isatty()
    dumb = env.get("TERM", "") in ("dumb", "unknown")
    ci = env.get("CI", "").lower() not in ("", "0", "false")
    size = shutil.get_terminal_size() if tty or env.get("COLUMNS") else None
    if env.get("NO_COLOR"):
        colour = False
    else:
        forced = env.get("FORCE_COLOR", "") not in ("", "0", "false")
        colour = forced or (tty and not dumb)
    return Terminal(
        width=max(size.columns if size else 80, 20),
        height=max(size.lines if size else 24, 8),
        signs=_signs(getattr(stream, "encoding", None)),
        colour=colour and not plain,
        live=tty and not dumb and not ci and not plain,
        plain=plain,
    )


def _signs(encoding: str | None) -> Signs:
    try:
        "".join((UNICODE.ok, UNICODE.bad, *UNICODE.bar, UNICODE.spark, "·\u00d7▒")).encode(
            encoding or "ascii"
        )
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE
