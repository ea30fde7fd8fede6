"""A run as event files of TensorBoard, written by the package tensorboardX."""

from __future__ import annotations

import calendar
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, FormatError, OutputError
from .files import NOT_FINITE, to_json
from .run import Run
from .watch.look import FILE as LOOKS
from .watch.look import rows_in

Scalar = tuple[str, float, int, float]
"""Tag, value, step, time in seconds since 1970."""


def export(run: Run, folder: str | Path) -> Path:
    """Writes `folder/<run's name>` with what the run logged, for `tensorboard --logdir folder`.

    Scalars train/<name> and validation/<name> a row, layers/<layer>/<name> and histograms a look
    inside, and the configuration as text; each at its step and at the time when it was.  The
    folder appears whole or not at all.  Raises OutputError where there is one of that name, and
    ArgumentError where tensorboardX is not installed or the run has logged nothing.
    """
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError:
        raise ArgumentError(
            "writing TensorBoard's event files needs a package that is not installed",
            expected="tensorboardX", fix="pip install 'chainrule[tensorboard]'", line="",
        ) from None  # fmt: skip
    target = Path(folder) / run.name
    if target.exists():
        raise OutputError(
            f"{target} is there already", expected="a folder without this run",
            fix="another folder, or remove it: TensorBoard would show both as one", line="",
        )  # fmt: skip
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
        with SummaryWriter(str(part), write_to_disk=True) as writer:
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
        for name, value in row.items():
            if name in ("epoch", "step") or _number(value) is None:
                continue
            part, _, rest = name.partition("_")
            tag = f"validation/{rest}" if part == "val" else f"train/{name}"
            yield tag, float(value), int(row["step"]), at
    for look in looks:
        for layer in look["layers"]:
            for name, value in layer.items():
                number = _number(value)
                if number is not None:
                    yield f"layers/{layer['name']}/{name}", number, int(look["step"]), _started(run)


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
