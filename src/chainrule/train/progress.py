"""How far something is that lasts longer than a second: a bar on stderr, or lines of text."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

BEGINS_S, EVERY_S = 1.0, 10.0
"""Seconds after which it is said at all; and between two lines where nothing can be redrawn."""
SHORTEST_BAR, LONGEST_BAR, WITHOUT_BAR = 10, 40, 82
"""Signs of the bar; and of the words and numbers beside it, which go first."""


class Bar:
    """Within the block `at(done, total)` moves a bar with rate and time left; then it is gone.

    what: is worked on; unit: is counted.  live: whether there is a bar (None: where stderr is a
    terminal that can move its cursor, and no CI is at work).  lines: whether a line every ten
    seconds stands in for it elsewhere.  colour: None as the terminal has it.

    >>> from chainrule.train.progress import Bar
    >>> with Bar("sums", "rows", live=False) as bar:
    ...     bar.at(1, 2)
    """

    def __init__(
        self, what: str, unit: str, *, live: bool | None = None, lines: bool = False,
        colour: bool | None = None,
    ) -> None:  # fmt: skip
        self.what, self.unit, self.lines, self.colour = what, unit, lines, colour
        self.live = can_be_redrawn() if live is None else live
        self.began = self.said = time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def at(self, done: int, total: int | None, note: str = "") -> None:
        """So much is done, of so much (None: nobody knows); note: what else there is to say."""
        now = time.monotonic()
        if now - self.began < BEGINS_S or done <= 0:
            return
        if not self.live:
            if self.lines and now - self.said >= EVERY_S:
                self.said = now
                print(self.line(done, total, now, note), file=sys.stderr, flush=True)
            return
        if self.bar is None:
            self.bar = _rich(self.colour)
            self.task = self.bar.add_task(self.what, total=total, rate="", note="")
            self.bar.start()
        rate = self.rate(done, now - self.began)
        self.bar.update(self.task, completed=done, total=total, rate=rate, note=note)

    def rate(self, done: int, seconds: float) -> str:
        """`12 k steps/s`."""
        return f"{amount(done / seconds)} {self.unit}/s"

    def line(self, done: int, total: int | None, now: float, note: str = "") -> str:
        """`rates: 120 of 520 steps, 1.2 k steps/s, 0:00:03 left`."""
        seconds = now - self.began
        rate = self.rate(done, seconds)
        tail = f"; {note}" if note else ""
        if total is None:
            return f"{self.what}: {done} {self.unit}, {rate}{tail}"
        left = clock(seconds * (total - done) / done)
        return f"{self.what}: {done} of {total} {self.unit}, {rate}, {left} left{tail}"

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def can_be_redrawn() -> bool:
    """Whether stderr is a terminal that can move its cursor, and no CI is at work."""
    ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    dumb = os.environ.get("TERM", "") in ("dumb", "unknown")
    return sys.stderr is not None and sys.stderr.isatty() and not (ci or dumb)


def clock(seconds: float) -> str:
    """12345 as 3:25:45."""
    whole = max(int(seconds + 0.5), 0)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def amount(value: float | None) -> str:
    """412345 as '412 k'."""
    if value is None:
        return "-"
    for unit, size in ((" M", 1e6), (" k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _rich(colour: bool | None) -> Any:
    """rich's progress bar, imported when there is something to wait for."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Left
    from rich.table import Column
    from rich.text import Text

    class Note(TextColumn):
        """The last text, alone in being cut where the line is too long."""

        def render(self, task: Any) -> Text:
            return Text(task.fields["note"], no_wrap=True, overflow="ellipsis")

    console = Console(
        file=sys.stderr, force_terminal=True, no_color=None if colour is None else not colour
    )
    room = console.width - WITHOUT_BAR
    bar = [BarColumn(bar_width=min(room, LONGEST_BAR))] if room >= SHORTEST_BAR else []
    return Progress(
        TextColumn("{task.description}"), *bar, TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"), Left(), Note("", table_column=Column(no_wrap=False)),
        console=console, transient=True,
    )  # fmt: skip
