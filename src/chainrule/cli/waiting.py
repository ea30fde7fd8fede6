"""Progress of what lasts longer than a second: a bar with rate and time left, or lines of text."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .terminal import detect
from .view.draw import amount, clock

BEGINS_S, EVERY_S = 1.0, 10.0
"""Seconds after which it is said at all; and between two lines where nothing can be redrawn."""


class Progress(Protocol):
    """How far it is: done, in all, and what else there is to say."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def waiting(what: str, unit: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Gives a function to call with (done, in all), which shows that on stderr.

    what: what is worked on; unit: what is counted; quiet: nothing is shown.  In a terminal there
    is a bar, cleared at the end; in a pipe, under CI and with TERM=dumb a line every ten seconds.
    """
    shown = _Waiting(what, unit, quiet)
    try:
        yield shown.at
    finally:
        shown.close()


class _Waiting:
    def __init__(self, what: str, unit: str, quiet: bool) -> None:
        self.what, self.unit, self.quiet = what, unit, quiet
        self.terminal = detect(sys.stderr)
        self.began = self.said = time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def at(self, done: int, total: int, note: str = "") -> None:
        """So much is done."""
        now = time.monotonic()
        if self.quiet or now - self.began < BEGINS_S or done <= 0:
            return
        if not self.terminal.live:
            if now - self.said >= EVERY_S:
                self.said = now
                print(self.line(done, total, now, note), file=sys.stderr, flush=True)
            return
        if self.bar is None:
            self.bar = _bar(self.terminal.colour)
            self.task = self.bar.add_task(self.what, total=total, rate="", note="")
            self.bar.start()
        self.bar.update(
            self.task,
            completed=done,
            total=total,
            rate=self.rate(done, now - self.began),
            note=note,
        )

    def rate(self, done: int, seconds: float) -> str:
        """`12 k steps/s`."""
        return f"{amount(done / seconds)} {self.unit}/s"

    def line(self, done: int, total: int, now: float, note: str = "") -> str:
        """`rates: 120 of 520 steps, 1.2 k steps/s, 0:00:03 left`."""
        seconds = now - self.began
        left = clock(seconds * (total - done) / done)
        rate = self.rate(done, seconds)
        tail = f"; {note}" if note else ""
        return f"{self.what}: {done} of {total} {self.unit}, {rate}, {left} left{tail}"

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar is not None:
            self.bar.stop()


def _bar(colour: bool) -> Any:
    """rich's progress bar, imported when there is something to wait for."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    console = Console(file=sys.stderr, no_color=not colour)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"), Left(), TextColumn("{task.fields[note]}"),
        console=console, transient=True,
    )  # fmt: skip
