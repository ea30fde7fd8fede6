"""A fit in a process of its own, which is killed at a step or in the middle of writing a file.

The process kills itself with SIGKILL, the signal that no program sees coming: nothing is closed,
flushed or cleaned up, and the moment is one that can be named and repeated.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from ..errors import ArgumentError, ArgumentTypeError, ChainruleError
from .alike import PARTS
from .callbacks import LambdaCallback
from .files import writing
from .run import Run

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from .trainer import Trainer

READS = ("open", "list_folder", "free_bytes")
OPERATIONS = tuple(n for n in vars(writing.Disk) if n[0] != "_" and n not in READS)
"""What changes the disk: each is a moment to be killed in."""
PILOT_EPOCHS = 3
"""A Trainer's fit is not longer than this where nobody says how long."""
TEMPORARY = re.compile(r"^\.(.+)\.\w+-\d+-\d+\.tmp$")


class FitFailedError(ChainruleError, RuntimeError):
    """A fit in a process of its own that ended with an error."""


class Kill(NamedTuple):
    """When to die: after a step, or the first that is told of behind it; at once (None), or so many
    operations on the disk later."""

    step: int
    operations: int | None = None


def die() -> NoReturn:
    """Ends this process as `kill -9` does."""
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    while True:  # until it has come
        time.sleep(1)


class KillingDisk(writing.Disk):
    """Counts operations once `left` is set, and dies in the one at which nothing is left."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.left: int | None = None
        self.say = say
        self.written = ""  # the file that is open

    def meet(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Before an operation: a write is left half done."""
        if name in ("create", "append"):
            self.written = arguments[0]
        if self.left is None:
            return
        if self.left == 0:
            path = next((a for a in reversed(arguments) if isinstance(a, str)), self.written)
            file = TEMPORARY.sub(r"\1", os.path.basename(path))
            self.say(f"killed {name} {file}")
            if name == "write":
                handle, data = arguments
                os.write(handle, data[: len(data) // 2])
            die()
        self.left -= 1


def _met(name: str) -> Callable[..., Any]:
    operation = getattr(writing.Disk, name)

    def run(self: KillingDisk, *arguments: Any) -> Any:
        self.meet(name, arguments)
        return operation(self, *arguments)

    return run


for _name in OPERATIONS:
    setattr(KillingDisk, _name, _met(_name))


class Eye:
    """Tells how far a fit is, and dies where that was asked for.

    every: steps after which the state must be that of the step, at the latest.
    """

    def __init__(
        self, say: Callable[[str], None], disk: KillingDisk, kill: Kill | None,
        seconds: float | None, every: int,
    ) -> None:  # fmt: skip
        self.say, self.disk, self.kill, self.seconds = say, disk, kill, seconds
        self.every = every
        self.until: float | None = None

    def begun(self, step: int) -> None:
        """Where it begins."""
        self.say(f"begun {step}")

    def made(self, step: int, stop: Callable[[str], Any]) -> None:
        """Counts a step, and looks whether it is time."""
        self.say(f"step {step}")
        now = time.monotonic()
        if self.seconds is not None:
            self.until = self.until or now + self.seconds  # what compiles is over
            if now >= self.until:
                stop("time")
        if self.kill is not None and step >= self.kill.step and self.disk.left is None:
            if self.kill.operations is None:
                self.say("killed")
                die()
            self.disk.left = self.kill.operations

    def ended(self, step: int) -> None:
        """An epoch more."""
        self.say(f"epoch {step}")


class Job(Protocol):
    """What is fitted, and how: the same in every attempt."""

    @property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """What a checkpoint of it holds, see `alike.PARTS`."""

    def lasting(self, epochs: int | None, steps: int | None) -> Job:
        """The same for so many epochs and steps, as far as they are said."""

    def pilot(self) -> Job:
        """The same, as long as it is at most where nobody says how long."""

    def fit(self, run: Run, eye: Eye) -> None:
        """Fits into a run, or goes on with what is there; the eye hears how far it is."""


class TrainerJob(NamedTuple):
    """A Trainer's fit."""

    make_trainer: Callable[[], Trainer]
    train: Any
    settings: Mapping[str, Any]
    parts: Mapping[str, tuple[str, ...]] = PARTS

    def lasting(self, epochs: int | None, steps: int | None) -> TrainerJob:
        """See Job."""
        return self._replace(settings={**self.settings, "epochs": epochs, "steps": steps})

    def pilot(self) -> TrainerJob:
        """See Job."""
        return self.lasting(PILOT_EPOCHS, None)

    def fit(self, run: Run, eye: Eye) -> None:
        """See Job."""
        trainer = self.make_trainer()
        _check(trainer)
        trainer.add_callback(
            LambdaCallback(
                every_steps=eye.every,
                on_fit_start=lambda t: eye.begun(t.step),
                on_step_end=lambda t: eye.made(t.step, t.stop),
                on_epoch_end=lambda t: eye.ended(t.step),
            )
        )
        if run.checkpoints.manifests():
            trainer.resume(run)
        trainer.run = run
        trainer.fit(self.train, **self.settings)


@dataclass
class Attempt:
    """How far one process came: where it began, its last step, the ends of epochs, its end."""

    begun: int = 0
    step: int = 0
    epochs: list[int] = field(default_factory=list)
    killed: str | None = None  # '' at a step, or the operation and its file
    said: list[str] = field(default_factory=list)
    error: list[str] = field(default_factory=list)
    done: bool = False
    seconds: float = 0.0

    def hear(self, text: str) -> None:
        """Takes in what the process says."""
        word, _, rest = text.partition(" ")
        if word == "begun":
            self.begun = self.step = int(rest)
        elif word == "step":
            self.step = int(rest)
        elif word == "epoch":
            self.epochs.append(int(rest))
        elif word in ("said", "error"):
            getattr(self, word).append(rest)
        elif word == "killed":
            self.killed = rest
        else:
            self.done = True


def attempt(
    job: Job, folder: str, *, kill: Kill | None = None, every: int | None = None,
    seconds: float | None = None, progress: Callable[[int], None] = lambda made: None,
) -> Attempt:  # fmt: skip
    """One process: fits into the run folder, or goes on with what is there, until its end.

    every: steps between two checkpoints.  seconds: after which the fit is stopped.  progress: told
    how many steps it made.  Raises FitFailedError where the fit raised.
    """
    import multiprocessing  # `import chainrule` need not wait for it

    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, folder, kill, every, seconds, theirs))
    found, began = Attempt(), time.perf_counter()
    try:
        _start(process)
        theirs.close()
        while True:
            try:
                found.hear(ours.recv_bytes().decode())
            except EOFError:
                break
            progress(found.step - found.begun)
        process.join()
    finally:
        if process.pid is not None and process.is_alive():
            process.kill()
            process.join()
        ours.close()
    found.seconds = time.perf_counter() - began
    if found.error or (found.killed is None and not found.done):
        told = found.error[0] if found.error else f"the process ended with {process.exitcode}"
        raise FitFailedError("verify_resume: the fit itself fails", got=told, line="")
    return found


def _start(process: Any) -> None:
    try:
        process.start()
    except (AttributeError, TypeError, ValueError) as error:  # on systems without fork
        raise ArgumentError(
            "verify_resume: another process can't be given this",
            expected="make_trainer and data that a module holds by name", got=str(error),
        ) from error  # fmt: skip


def _child(
    job: Job, folder: str, kill: Kill | None, every: int | None, seconds: float | None,
    pipe: Connection,
) -> None:  # fmt: skip
    def say(text: str) -> None:
        pipe.send_bytes(text.encode())

    try:
        _fit(job, folder, kill, every, seconds, say)
        say("done")
    except Exception as error:
        say("error " + " ".join(f"{type(error).__name__}: {error}".split()))


def _fit(
    job: Job, folder: str, kill: Kill | None, every: int | None, seconds: float | None,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    disk = KillingDisk(say)
    writing.disk = disk
    eye = Eye(say, disk, kill, seconds, 1 if seconds is not None else every or sys.maxsize)
    run = Run(folder, checkpoint_steps=every, checkpoint_seconds=0 if every else 1.0,
              say=lambda text: say(f"said {text}"))  # fmt: skip
    job.fit(run, eye)


def _check(trainer: Any) -> None:
    from .trainer import Trainer

    if not isinstance(trainer, Trainer):
        raise ArgumentTypeError(
            "verify_resume: make_trainer must give a new Trainer", got=type(trainer).__name__
        )
    if trainer.run is not None or trainer.step:
        raise ArgumentError(
            "verify_resume: make_trainer must give a new Trainer without a run",
            got=f"step {trainer.step}, run {trainer.run}",
        )
