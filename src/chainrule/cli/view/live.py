"""The view that is redrawn in place."""

from __future__ import annotations

import time
from typing import IO

from rich.console import Console
from rich.live import Live as RichLive
from rich.text import Text

from ..terminal import Terminal
from .draw import draw
from .facts import Facts
from .screen import Silent

INTERVAL_S = 0.1  # between two redraws
BUDGET = 0.04  # share of the time that redrawing may bring watching to


class Live(Silent):
    """Redraws when there is something new, and leaves the last state on the terminal."""

    def __init__(self, terminal: Terminal, stream: IO[str]) -> None:
        self.terminal = terminal
        console = Console(
            file=stream, force_terminal=True, width=terminal.width, height=terminal.height,
            color_system="standard" if terminal.colour else None, no_color=not terminal.colour,
            highlight=False,
        )  # fmt: skip
        self.live = RichLive(console=console, auto_refresh=False, vertical_overflow="crop")
        self.last = self.cost = 0.0

    def begin(self, facts: Facts) -> None:
        """Hides the cursor and draws for the first time."""
        self.live.start()
        self.draw(facts)

    def due(self, now: float, elapsed: float, spent: float) -> bool:
        """After an interval, unless that would bring watching above its budget."""
        return now - self.last >= INTERVAL_S and spent + self.cost <= BUDGET * elapsed

    def draw(self, facts: Facts) -> None:
        """Redraws."""
        began = time.perf_counter()
        lines = [self.terminal.paint(line) for line in draw(facts, self.terminal)]
        text = Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop")
        self.live.update(text, refresh=True)
        self.last = time.perf_counter()
        self.cost = self.last - began

    def end(self, facts: Facts) -> None:
        """The last state stays; the cursor comes back."""
        self.draw(facts)
        self.live.stop()

    def close(self) -> None:
        """Gives the cursor back after an error, too."""
        self.live.stop()
