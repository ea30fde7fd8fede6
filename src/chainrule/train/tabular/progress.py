"""A bar for long fits on stderr: how far, how fast, how long still."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any


class Progress:
    """Within the block `row` moves the bar; it is gone afterwards.

    what: a word.  epochs: how many there will be.  steps: of all networks in an epoch.  shown:
    None for where stderr is a terminal that can move its cursor and no CI is at work.
    """

    def __init__(self, what: str, epochs: int, steps: int, shown: bool | None) -> None:
        self.what, self.epochs, self.steps = what, epochs, steps
        forced = True if shown else None  # None: rich sees for itself
        if shown is None:
            shown = sys.stderr.isatty() and not os.environ.get("CI")
            shown = shown and os.environ.get("TERM") != "dumb"
        self.shown, self.forced = shown, forced
        self.bar: Any = None

    def __enter__(self) -> Progress:
        if self.shown:
            from rich.console import Console  # loaded when first used
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self.bar = Bar(
                TextColumn("{task.description}"), BarColumn(),
                TextColumn("{task.completed:.0f}/{task.total:.0f} epochs  {task.fields[told]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True, force_terminal=self.forced), transient=True,
            )  # fmt: skip
            self.bar.start()
            self.task = self.bar.add_task(self.what, total=self.epochs, told="")
        return self

    def row(self, row: dict[str, Any]) -> None:
        """An epoch was made."""
        if self.bar is None:
            return
        speed = self.bar.tasks[self.task].speed or 0.0
        told = f"{speed * self.steps:,.0f} steps/s"
        if row["score"] is not None:
            told += f"  held out {sum(row['score']) / len(row['score']):.4g}"
        self.bar.update(self.task, completed=row["epoch"], told=told)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self.bar is not None:
            self.bar.stop()
