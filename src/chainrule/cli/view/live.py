"""The view that is redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import IO

from rich.console import Console
from rich.live import Live as RichLive
from rich.text import Text

from ..terminal import Line, Terminal
from .draw import draw
from .facts import Facts
from .keys import Keys
from .screen import Silent

INTERVAL_S = 0.1  # between two redraws
BUDGET = 0.04  # share of the time that redrawing may bring watching to


class Live(Silent):
    """Redraws when there is something new, and leaves the last state on the terminal.

    keys: the keys of the terminal, where they may be asked.
    """

    def __init__(self, terminal: Terminal, stream: IO[str], keys: Keys | None = None) -> None:
        self.terminal = terminal
        self.keys = keys
        console = Console(
            file=stream, force_terminal=True, width=terminal.width, height=terminal.height,
            color_system="standard" if terminal.colour else None, no_color=not terminal.colour,
            highlight=False,
        )  # fmt: skip
        self.live = RichLive(console=console, auto_refresh=False, vertical_overflow="crop")
        self.last = self.cost = 0.0

    def begin(self, facts: Facts) -> None:
        """Hides the cursor and draws for the first time; from now on keys are read."""
        self.live.start()
        if self.keys is not None:
            self.keys.start()
            facts.keys = True
        self.draw(facts)

    def due(self, now: float, elapsed: float, spent: float) -> bool:
        """After an interval, unless that would bring watching above its budget."""
        return now - self.last >= INTERVAL_S and spent + self.cost <= BUDGET * elapsed

    def draw(self, facts: Facts) -> None:
        """Redraws."""
        began = time.perf_counter()
        self.live.update(self._text(draw(facts, self.terminal)), refresh=True)
        self.last = time.perf_counter()
        self.cost = self.last - began

    def key(self, wait_s: float = 0.0) -> str | None:
        """What was pressed."""
        return None if self.keys is None else self.keys.read(wait_s)

    @property
    def hears(self) -> bool:
        """Whether a key may still come."""
        return self.keys is not None and self.keys.on

    def say(self, lines: Sequence[Line]) -> None:
        """Lines above the view, which stay."""
        self.live.console.print(self._text(lines), crop=False)

    def _text(self, lines: Sequence[Line]) -> Text:
        painted = "\n".join(self.terminal.paint(line) for line in lines)
        return Text.from_ansi(painted, no_wrap=True, overflow="crop")

    def end(self, facts: Facts) -> None:
        """The last state stays, without keys; the cursor comes back."""
        facts.keys = False
        self.draw(facts)
        self.close()

    def close(self) -> None:
        """Gives the terminal back as it was, after an error, too."""
        if self.keys is not None:
            self.keys.stop()
        self.live.stop()
