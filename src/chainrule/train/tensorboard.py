"""Event files of TensorBoard, of a run or while it trains, written by the package tensorboardX."""

from __future__ import annotations

import calendar
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, FormatError, OutputError
from .callbacks import Callback
from .files import NOT_FINITE, to_json
from .recorder import describe
from .run import Run
from .watch.look import FILE as LOOKS
from .watch.look import Look, rows_in

if TYPE_CHECKING:
    from .trainer import Trainer

Scalar = tuple[str, float, int, float]
"""Tag, value, step, time in seconds since 1970."""


def export(run: Run, folder: str | Path) -> Path:
    """Writes `folder/<run's name>` with what the run logged, for `tensorboard --logdir folder`.

    Scalars train/<name> and validation/<name> a row, layers/<layer>/<name> and histograms a look
    inside, and the configuration as text; each at its step and at the time when it was.  The
    folder appears whole or not at all.  Raises OutputError where there is one of that name, and
    ArgumentError where tensorboardX is not installed or the run has logged nothing.
    """
    writer_of = _writer()
    target = Path(folder) / run.name
    if target.exists():
        raise _there_already(target)
    rows, looks = run.rows, rows_in(run.path / LOOKS)
    numbers = _checked(run, rows, looks)
    if not rows and not looks:
        raise ArgumentError(f"{run.name} has logged nothing yet", expected="one epoch", line="")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{run.name}-", dir=folder))
    except OSError as error:
        raise OutputError(f"can't write in {folder}", got=error.strerror, line="") from error
    try:
        with writer_of(str(part), write_to_disk=True) as writer:
            writer.add_text("config", _as_code(run.config), 0, _started(run))
            for tag, value, step, at in numbers:
                writer.add_scalar(tag, value, step, at)
            for look in looks:
                _histograms(writer, look, _started(run))
        part.chmod(0o755)
        part.rename(target)
    except OSError as error:
        raise OutputError(f"can't write {target}", got=error.strerror, line="") from error
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(part)
    return target


def _writer() -> Any:
    """The class that writes event files."""
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        raise ArgumentError(
            "writing TensorBoard's event files needs a package that is not installed",
            expected="tensorboardX", fix="pip install 'chainrule[tensorboard]'", line="",
        ) from None  # fmt: skip
    return SummaryWriter


def _there_already(target: Path) -> OutputError:
    return OutputError(
        f"{target} is there already", expected="a folder without this run",
        fix="another folder, or remove it: TensorBoard would show both as one", line="",
    )  # fmt: skip


def _as_code(config: dict[str, Any]) -> str:
    """Markdown that shows JSON as it is."""
    return "\n".join(f"    {line}" for line in to_json(config, indent=2).splitlines())


def _started(run: Run) -> float:
    """When the run began; now, where it is not said."""
    try:
        return float(calendar.timegm(time.strptime(
            str(run.environment.get("started")), "%Y-%m-%dT%H:%M:%SZ"
        )))  # fmt: skip
    except ValueError:
        return time.time()


def _checked(run: Run, rows: list[dict[str, Any]], looks: list[dict[str, Any]]) -> list[Scalar]:
    """The scalars; raises FormatError for lines that are none of a run."""
    try:
        return list(scalars(run, rows, looks))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            f"{run.path}: a line of its logs is none of a run",
            got=f"{type(error).__name__}: {error}"[:80], line="",
        ) from None  # fmt: skip


def scalars(run: Run, rows: list[dict[str, Any]], looks: list[dict[str, Any]]) -> Iterator[Scalar]:
    """Every number of rows and looks; what was not computed is left out."""
    at = _started(run)
    for row in rows:
        at += float(row.get("seconds", 0.0))
        for tag, value in _of_row(row):
            yield tag, value, int(row["step"]), at
    for look in looks:
        for tag, value in _of_look(look):
            yield tag, value, int(look["step"]), _started(run)


def _of_row(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of an epoch, by tag."""
    for name, value in row.items():
        number = _number(value)
        if name not in ("epoch", "step") and number is not None:
            part, _, rest = name.partition("_")
            yield (f"validation/{rest}" if part == "val" else f"train/{name}"), number


def _of_look(look: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a look inside, by tag."""
    for layer in look["layers"]:
        for name, value in layer.items():
            number = _number(value)
            if number is not None:
                yield f"layers/{layer['name']}/{name}", number


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return NOT_FINITE.get(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None


def _histograms(writer: Any, look: dict[str, Any], at: float) -> None:
    """The histograms of a look, from their counts."""
    for layer in look["layers"]:
        for name in ("activations", "gradients"):
            held = layer.get(name)
            ends = [_number(held[k]) for k in ("low", "high")] if held else []
            if not held or not np.isfinite(ends).all():  # type: ignore[arg-type]
                continue
            counts = np.asarray(held["counts"], np.float64)
            edges = np.linspace(ends[0], ends[1], len(counts) + 1)  # type: ignore[arg-type]
            middle = (edges[1:] + edges[:-1]) / 2
            writer.add_histogram_raw(
                f"layers/{layer['name']}/{name}", ends[0], ends[1], counts.sum(),
                (counts * middle).sum(), (counts * middle**2).sum(), edges[1:].tolist(),
                counts.tolist(), int(look["step"]), walltime=at,
            )  # fmt: skip


class TensorBoard(Callback):
    """Writes event files while it trains: `Trainer(..., callbacks=[Watch(), TensorBoard("logs")])`.

    folder: gets the event files, or with a run a folder of the run's name, for `tensorboard
    --logdir folder`.  An epoch gives the scalars train/<name> and validation/<name>; where there is
    a `Watch` each of its looks gives layers/<layer>/<name>, with histograms: the tags of
    `chainrule export --tensorboard`.  They can be seen after every epoch.  After a resume what was
    written beyond the checkpoint is taken back.

    Raises ArgumentError where tensorboardX is not installed, and OutputError where the folder can't
    be written or holds another training.  PyTorch's SummaryWriter leaves the calls to the user.

    >>> from chainrule.train import TensorBoard
    >>> TensorBoard("logs").folder.name
    'logs'
    """

    def __init__(self, folder: str | Path) -> None:
        self.writer_of = _writer()
        self.folder = Path(folder)
        self.writer: Any = None
        self.seen = 0  # looks that are written

    def on_fit_start(self, trainer: Trainer) -> None:
        """Opens a new event file."""
        target = self.folder if trainer.run is None else self.folder / trainer.run.name
        self._close()
        held = len(list(target.glob("events.out.tfevents.*")))
        if held and not trainer.step:
            raise _there_already(target)
        try:
            target.mkdir(parents=True, exist_ok=True)
            self.writer = self.writer_of(
                str(target), purge_step=trainer.step + 1 if trainer.step else None,
                filename_suffix=f".{held}",  # names are of seconds: no second file hides a first
            )  # fmt: skip
        except OSError as error:
            raise OutputError(f"can't write in {target}", got=error.strerror, line="") from error
        self.seen = sum(look.step <= trainer.step for look in self._looks(trainer))
        if not trainer.step:
            parts = describe(trainer)
            config = parts if trainer.run is None else {**trainer.run.config, "trainer": parts}
            self.writer.add_text("config", _as_code(config), 0)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """The epoch's numbers, and the looks since the last."""
        for tag, value in _of_row(trainer.row):
            self.writer.add_scalar(tag, value, trainer.step)
        self._write_looks(trainer)
        self.writer.flush()

    def on_fit_end(self, trainer: Trainer) -> None:
        """The rest, and the end of the file."""
        self._write_looks(trainer)
        self._close()

    def _looks(self, trainer: Trainer) -> list[Look]:
        watch = trainer.history.watch
        return [] if watch is None else watch.looks

    def _write_looks(self, trainer: Trainer) -> None:
        new = self._looks(trainer)[self.seen :]
        self.seen += len(new)
        for look in (x.to_json() for x in new):
            for tag, value in _of_look(look):
                self.writer.add_scalar(tag, value, look["step"])
            _histograms(self.writer, look, time.time())

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None
