"""verify_table_resume: a table's fit that is killed again and again, against one left alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ...errors import ArgumentError, ArgumentTypeError
from ..attempt import Eye
from ..run import Run
from ..verify import Progress, ResumeReport, prove
from .fitting import TableFit

PARTS: dict[str, tuple[str, ...]] = {
    "weights": ("model",),
    "optimizer": ("moments",),
    "random numbers": ("rng", "seed"),
    "position in the epoch": ("made", "losses"),
    "best epochs": ("kept", "best", "best_epoch", "improved", "done", "diverged"),
    "history": ("rows",),
    "counters": ("epoch", "step"),
}
"""What a checkpoint of a table's fit holds, by the words of the report."""


class TableJob(NamedTuple):
    """The fit of a table, for so many epochs and steps: whichever ends first."""

    make_fit: Callable[[], TableFit]
    epochs: int | None = None
    steps: int | None = None
    parts: Mapping[str, tuple[str, ...]] = PARTS

    def lasting(self, epochs: int | None, steps: int | None) -> TableJob:
        """See `attempt.Job`."""
        return self._replace(epochs=epochs, steps=steps)

    def pilot(self) -> TableJob:
        """The whole fit: its epochs may be a step each."""
        return self.lasting(None, None)

    def fit(self, run: Run, eye: Eye) -> None:
        """See `attempt.Job`."""
        fit = self.make_fit()
        _check(fit)
        fit.resume(run)
        eye.begun(fit.members.steps)

        def made(steps: range) -> None:
            for step in steps:
                eye.made(step, fit.stop)

        ends = [self.steps, None if self.epochs is None else fit.steps_of(self.epochs)]
        fit.run(
            run, lambda row: eye.ended(row["step"]), on_steps=made, every_steps=eye.every,
            steps=min((n for n in ends if n is not None), default=None),
        )  # fmt: skip


def verify_table_resume(
    make_fit: Callable[[], TableFit], *, epochs: int | None = None, steps: int | None = None,
    kills: int = 6, seed: int = 0, folder: str | Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> ResumeReport:  # fmt: skip
    """Whether the fit of a table that is killed and resumed ends with the same bytes as one that
    is not.

    make_fit: gives a new TableFit, the same each time.  epochs, steps: how long the fit is, at the
    rates of a whole one (default: as many steps as take about a second, at most all).  kills,
    seed, folder, progress, errors: see `train.verify_resume`, which does this for a Trainer.

    Compared are weights and those of the best epochs, AdamW's moments, random numbers, the place in
    the epoch, early stopping, history and log.

    >>> import chainrule
    >>> from chainrule.train.tabular import Recipe, TableFit, verify_table_resume
    >>> penguins, recipe = chainrule.data.penguins(), Recipe(hidden=(8,), batch_size=64)
    >>> found = verify_table_resume(lambda: TableFit(penguins, "species", recipe=recipe),
    ...                             steps=6, kills=1)
    >>> found.exact
    True
    """
    job = TableJob(make_fit)
    return prove(job, epochs, steps, kills=kills, seed=seed, folder=folder, progress=progress)


def _check(fit: object) -> None:
    if not isinstance(fit, TableFit):
        raise ArgumentTypeError(
            "verify_table_resume: make_fit must give a new TableFit", got=type(fit).__name__
        )
    if fit.members.steps:
        raise ArgumentError("verify_table_resume: make_fit must give a new TableFit",
                            got=f"step {fit.members.steps}")  # fmt: skip
