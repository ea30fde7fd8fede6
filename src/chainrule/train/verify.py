"""verify_resume: a fit that is killed again and again, against one that is left alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from ..markup import counted
from .alike import Part, compared
from .attempt import Attempt, Job, Kill, TrainerJob, attempt
from .run import Run

if TYPE_CHECKING:
    import random

    from .trainer import Trainer

PILOT_S = 1.0
"""Without `steps` and `epochs` a fit is about as long as this, or its job's pilot."""
SAVES = 12
"""Checkpoints by steps in one fit, at most."""
TRAINING = "training"
WITHIN = 14
"""Operations on the disk, of which one is drawn to be killed in: fewer than any save takes."""

Progress = Callable[[str, int, int | None], None]
"""Told what is going on, how many steps were made, and about how many there are in all."""


@dataclass
class KilledAt:
    """One kill: after which step, in which operation on the disk, and where it then went on.

    doing: 'training', or an operation and its file, such as 'rename 000003.json'.
    """

    step: int
    doing: str
    resumed: int = 0
    seconds: float = 0.0

    @property
    def again(self) -> int:
        """Steps that had to be made once more."""
        return self.step - self.resumed


@dataclass
class ResumeReport:
    """What `verify_resume` found: `exact`, and every part of the state with what differs.

    steps, epochs: of the fit.  every: steps between checkpoints.  seconds: of the fit alone, and of
    the killed one with all its starts.  repeats: whether two fits without a kill agree; None where
    that was not asked, because everything agrees.  notes: what this fit was too short to show.
    """

    steps: int
    epochs: int
    every: int
    kills: list[KilledAt]
    parts: list[Part]
    seconds: float
    seconds_killed: float
    repeats: bool | None = None
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether every byte agrees."""
        return not any(p.differ for p in self.parts)

    @property
    def bytes(self) -> int:
        """How many bytes were compared."""
        return sum(p.bytes for p in self.parts)

    @property
    def overhead_s(self) -> float:
        """What a kill cost, with the new start of the program, in seconds."""
        return max(self.seconds_killed - self.seconds, 0.0) / max(len(self.kills), 1)

    @property
    def verdict(self) -> str:
        """The result in a sentence."""
        killed = f"killed {counted(len(self.kills), 'time')} in {counted(self.steps, 'step')}"
        if self.exact:
            return f"exact: {killed}, it ends with the same {self.bytes:,} bytes"
        odd = ", ".join(p.name for p in self.parts if p.differ)
        if self.repeats is False:
            return f"not repeatable: two fits without a kill differ too, in {odd}"
        return f"not exact: {killed}, it differs in {odd}"

    @property
    def fix(self) -> str | None:
        """What to look for where bytes differ."""
        if self.exact:
            return None
        if self.repeats is False:
            return "seed=, and nothing that draws from numpy.random, random or the time"
        if any(p.name == "callbacks" and p.differ for p in self.parts):
            return "state_dict and load_state_dict that hold all that the callback counts"
        return (
            "random numbers of chainrule alone (not numpy.random), data that depend on index and "
            "epoch alone, and what a model or callback counts in a buffer or its state_dict"
        )

    def to_json(self) -> dict[str, Any]:
        """As terms of JSON."""
        return {
            "exact": self.exact, "verdict": self.verdict, "fix": self.fix, "steps": self.steps,
            "epochs": self.epochs, "checkpoint_steps": self.every, "bytes": self.bytes,
            "kills": [{**asdict(k), "again": k.again} for k in self.kills],
            "parts": [asdict(p) for p in self.parts], "repeats": self.repeats,
            "seconds": self.seconds, "seconds_killed": self.seconds_killed,
            "overhead_s": self.overhead_s, "notes": self.notes, "said": self.said,
        }  # fmt: skip

    def __str__(self) -> str:
        wide = max(len(p.name) for p in self.parts)
        lines = [f"{p.name:<{wide}}  {part_told(p)}" for p in self.parts]
        return "\n".join([*lines, self.verdict, *([f"try: {self.fix}"] if self.fix else [])])


def part_told(part: Part) -> str:
    """What is said of a part."""
    if not part.values:
        return "none"
    if part.differ:
        return f"{part.differ} of {part.values} differ; {part.first}"
    size = f"{part.bytes:,} byte{'s' * (part.bytes != 1)}"
    return f"same, {size} in {counted(part.values, 'value')}"


def verify_resume(
    make_trainer: Callable[[], Trainer], train: Any, *, validation: Any = None,
    epochs: int | None = None, steps: int | None = None, batch_size: int = 32,
    shuffle: bool = True, kills: int = 6, seed: int = 0, folder: str | Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> ResumeReport:  # fmt: skip
    """Whether a training that is killed and resumed ends with the same bytes as one that is not.

    make_trainer: gives a new Trainer without a run, the same each time.  train, validation,
    batch_size, shuffle: as for `fit`.  epochs, steps: how long the fit is (default: as many steps
    as take about a second, at most 3 epochs).  kills: how often it is killed (6), by turns after a
    step, in a checkpoint between epochs' ends and in the files of an epoch's end; seed draws the
    moments.  folder: keeps the two runs (default: a temporary one).

    Each attempt is a process of its own that ends by SIGKILL.  Compared are weights, optimizer,
    schedule, random numbers, loader, average, callbacks (early stopping), history and log.
    Raises FitFailedError where the fit itself fails.  PyTorch has no such thing.

    >>> import numpy as np
    >>> from chainrule import nn, optim, train
    >>> def make():
    ...     model = nn.Linear(2, 1)
    ...     return train.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters()), seed=1)
    >>> x = np.ones((8, 2), np.float32)
    >>> found = train.verify_resume(make, (x, x[:, :1]), epochs=2, batch_size=2, kills=1)
    >>> found.exact
    True
    """
    fit = {"validation": validation, "batch_size": batch_size, "shuffle": shuffle}
    job = TrainerJob(make_trainer, train, fit)
    return prove(job, epochs, steps, kills=kills, seed=seed, folder=folder, progress=progress)


def prove(
    job: Job, epochs: int | None, steps: int | None, *, kills: int, seed: int,
    folder: str | Path | None, progress: Progress,
) -> ResumeReport:  # fmt: skip
    """`verify_resume` of any job."""
    import random  # `import chainrule` need not wait for them
    import tempfile

    for name, value in (("kills", kills), ("epochs", epochs), ("steps", steps)):
        if value is not None and (type(value) is not int or value < 1):
            raise ArgumentError(
                f"verify_resume: {name} must be a whole number >= 1", got=repr(value)
            )
    with ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chainrule-"))
        proof = _Proof(job, Path(folder), random.Random(seed), progress)
        return proof.run(epochs, steps, kills)


class _Proof:
    """The processes of one proof, one after another."""

    def __init__(self, job: Job, folder: Path, rng: random.Random, progress: Progress) -> None:
        self.job = job
        self.folder, self.rng, self.progress = folder, rng, progress
        self.made = self.total = 0  # steps, of all processes so far and at the end

    def run(self, epochs: int | None, steps: int | None, kills: int) -> ResumeReport:
        if epochs is None and steps is None:
            steps = self._pilot()
        self.job = self.job.lasting(epochs, steps)
        self.total = self.made + 2 * (steps or 0)
        whole = self._attempt("without a kill", alone := self._new("whole"))
        if whole.step < 2:
            raise ArgumentError("verify_resume: a fit of one step has no middle", fix="more steps")
        every = max(1, whole.step // SAVES)
        self.total = self.made + whole.step + kills * every
        cut = self._new("killed")
        noted, seconds, said = self._killed(cut, whole, every, kills)
        parts = compared(alone, cut, self.job.parts)
        repeats = None
        if any(p.differ for p in parts):
            self.total = self.made + whole.step
            self._attempt("once more without", again := self._new("again"))
            repeats = not any(p.differ for p in compared(alone, again, self.job.parts))
        return ResumeReport(
            whole.step, len(whole.epochs), every, noted, parts, whole.seconds, seconds, repeats,
            _notes(whole, noted), said,
        )  # fmt: skip

    def _new(self, name: str) -> Run:
        return Run.create(name, self.folder)

    def _pilot(self) -> int:
        """How many steps take about a second."""
        self.job = self.job.pilot()
        return max(self._attempt("how fast", self._new("pilot"), seconds=PILOT_S).step, 2)

    def _attempt(self, what: str, run: Run, **more: Any) -> Attempt:
        before = self.made

        def told(made: int) -> None:
            self.progress(what, before + made, self.total or None)  # of a pilot nobody knows

        found = attempt(self.job, str(run.path), progress=told, **more)
        self.made = before + found.step - found.begun
        return found

    def _killed(
        self, run: Run, whole: Attempt, every: int, kills: int
    ) -> tuple[list[KilledAt], float, list[str]]:
        """The fit that is killed, until it ends by itself."""
        noted: list[KilledAt] = []
        said: list[str] = []
        seconds = 0.0
        for i, kill in enumerate([*self._moments(whole, kills), None]):
            what = f"kill {i + 1} of {kills}" if kill else "to the end"
            found = self._attempt(what, run, kill=kill, every=every)
            if noted:
                noted[-1].resumed = found.begun
            seconds += found.seconds
            said += found.said
            if found.killed is not None:
                noted.append(KilledAt(found.step, found.killed or TRAINING, 0, found.seconds))
        return noted, seconds, said

    def _moments(self, whole: Attempt, kills: int) -> list[Kill]:
        """One in each of equal stretches of the fit; their kinds take turns."""
        ends = {e for e in whole.epochs if e < whole.step}
        moments = []
        for i in range(kills):
            low, high = (1 + (whole.step - 2) * k // kills for k in (i, i + 1))
            steps = set(range(low, max(high, low + 1)))
            wanted = steps & ends if i % 3 == 2 else steps - ends
            step = self.rng.choice(sorted(wanted or steps))
            moments.append(Kill(step, None if i % 3 == 0 else self.rng.randrange(WITHIN)))
        return moments


def _notes(whole: Attempt, kills: list[KilledAt]) -> list[str]:
    notes = []
    if not whole.epochs:
        notes.append(
            "no epoch ended in so few steps: validation, early stopping and schedules by epoch "
            "were not reached; more steps or epochs reach them"
        )
    if not any(k.doing != TRAINING for k in kills):
        notes.append("no kill fell into the writing of a file; more kills reach it")
    return notes
