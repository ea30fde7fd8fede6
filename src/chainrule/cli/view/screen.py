"""Where facts go: a live view, log lines, one fact a line, or nowhere."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import IO, Protocol

from ..terminal import Line, Terminal
from .draw import way
from .facts import OK, Facts
from .keys import keys_of
from .log import facts_in_words, log_line


class Screen(Protocol):
    """What Show calls."""

    @property
    def hears(self) -> bool: ...
    def begin(self, facts: Facts) -> None: ...
    def due(self, now: float, elapsed: float, spent: float) -> bool: ...
    def draw(self, facts: Facts) -> None: ...
    def key(self, wait_s: float = 0.0) -> str | None: ...
    def say(self, lines: Sequence[Line]) -> None: ...
    def epoch(self, facts: Facts) -> None: ...
    def end(self, facts: Facts) -> None: ...
    def close(self) -> None: ...


class Silent:
    """Nowhere: --quiet."""

    def begin(self, facts: Facts) -> None:
        """Nothing."""

    def due(self, now: float, elapsed: float, spent: float) -> bool:
        """Never."""
        return False

    def draw(self, facts: Facts) -> None:
        """Nothing."""

    def key(self, wait_s: float = 0.0) -> str | None:
        """None: no keys are offered."""
        return None

    @property
    def hears(self) -> bool:
        """Never."""
        return False

    def say(self, lines: Sequence[Line]) -> None:
        """Nothing."""

    def epoch(self, facts: Facts) -> None:
        """Nothing."""

    def end(self, facts: Facts) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


APART_S = 0.1
"""Seconds between two writes of log lines."""


class Log(Silent):
    """One line an epoch, which two runs of one seed share; after the first, how steps are made."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.begun = False
        self.held: list[str] = []
        self.written_at = -math.inf

    def epoch(self, facts: Facts) -> None:
        """The line of this epoch: at once, or with the next where the last is hardly out.

        A log is often read through a pipe, and whoever reads is woken by every write.
        """
        self.held.append(log_line(facts))
        if not self.begun:
            self.begun = True
            self.held.append(f"steps: {way(facts)}")
        if time.perf_counter() - self.written_at >= APART_S:
            self._write()

    def end(self, facts: Facts) -> None:
        """The lines that are held."""
        self._write()

    def close(self) -> None:
        """The lines that are held, however the fit has ended."""
        self._write()

    def _write(self) -> None:
        held, self.held = self.held, []
        if held:
            print("\n".join(held), file=self.stream, flush=True)
            self.written_at = time.perf_counter()


class Plain(Silent):
    """One fact a line: at the start, at each tenth of the way, and when the verdict changes."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.said = 0.0
        self.verdict = OK
        self.begun = False

    def begin(self, facts: Facts) -> None:
        """What is trained."""
        for line in (
            f"Data {facts.data}.",
            f"Model {facts.model}, {facts.parameters} parameters.",
            f"Optimizer {facts.optimizer}, schedule {facts.schedule}.",
        ):
            print(line, file=self.stream, flush=True)
        self.said = facts.progress

    def epoch(self, facts: Facts) -> None:
        """The facts, now and then."""
        if not self.begun:
            self.begun = True
            print(f"Steps: {way(facts)}.", file=self.stream, flush=True)
        changed = facts.verdict.severity != self.verdict
        if changed or facts.progress >= self.said + 0.1 or facts.progress >= 1.0:
            self.said, self.verdict = facts.progress, facts.verdict.severity
            for line in facts_in_words(facts):
                print(line, file=self.stream, flush=True)


def screen_for(terminal: Terminal, stream: IO[str], quiet: bool) -> Screen:
    """The screen that suits the terminal."""
    if quiet:
        return Silent()
    if terminal.plain:
        return Plain(stream)
    if not terminal.live:
        return Log(stream)
    from .live import Live  # brings rich: a log or a help text need not wait for its import

    return Live(terminal, stream, keys_of(terminal.live))
