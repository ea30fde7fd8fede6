"""How far a long work is: one line that is redrawn, or a line for each of its parts."""

from __future__ import annotations

import time
from typing import IO

from ..terminal import Line, Terminal, crop
from .draw import bar, clock

INTERVAL_S = 0.1  # between two redraws


class Meter:
    """Told of the work's parts and steps; shows rate and time left."""

    def __init__(self, stream: IO[str], terminal: Terminal) -> None:
        self.stream, self.terminal = stream, terminal
        self.began = time.monotonic()
        self.drawn = 0.0
        self.part = ""

    def __call__(self, part: str, done: int, total: int) -> None:
        """A part of the work, the steps made in all of it, and about how many there are."""
        now = time.monotonic()
        if not self.terminal.live:
            if part != self.part:
                print(f"{part}: {done} steps made", file=self.stream, flush=True)
        elif part != self.part or now - self.drawn >= INTERVAL_S:
            line = self.terminal.paint(self.line(part, done, total, now - self.began))
            print(f"\r\x1b[2K{line}", end="", file=self.stream, flush=True)
            self.drawn = now
        self.part = part

    def line(self, part: str, done: int, total: int, seconds: float) -> Line:
        """`kill 2 of 6  [bar]  123 steps/s  eta 0:00:03`."""
        rate = done / seconds if seconds > 0 else 0.0
        left = clock((total - done) / rate) if rate and total >= done else "-:--:--"
        head, tail = f"{part}  ", f"  {rate:.0f} steps/s  eta {left}"
        room = self.terminal.width - len(head) - len(tail) - 1
        share = min(done / total, 1.0) if total else 0.0
        drawn = bar(share, min(room, 40), self.terminal.signs) if room >= 4 else []
        return crop([(head, ""), *drawn, (tail, "")], self.terminal.width - 1)

    def close(self) -> None:
        """Takes the line away."""
        if self.terminal.live and self.part:
            print("\r\x1b[2K", end="", file=self.stream, flush=True)
