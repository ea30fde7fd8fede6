"""A look inside: one line of layers.jsonl, as numbers and as JSON.

`None` is what was not computed, never 0.  JSON has no nan and no infinity: they are the texts
"nan", "inf" and "-inf" there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...errors import FormatError
from ..files import (
    NOT_FINITE,
    MissingFileError,
    append_line,
    read_json_lines,
    to_json,
    worded,
    write_text,
)

FILE = "layers.jsonl"
BINS = 40


@dataclass
class Bins:
    """A histogram: counts of BINS equal parts of [low, high]; of finite values only."""

    low: float
    high: float
    counts: list[int]


@dataclass
class Layer:
    """One layer at one step, at the weights that the step began with."""

    name: str
    kind: str = ""
    activation: str | None = None
    grad: float | None = None  # norm of the weight's gradient in the step, before clipping
    weight: float | None = None  # norm of the weight
    update: float | None = None  # norm of its change
    ratio: float | None = None  # update / weight
    gain: float | None = None  # |error here| / |error of the next layer|, on the probe rows
    weights: float | None = None  # how the next layer's weights scale the error
    slope: float | None = None  # how this layer's activation scales it
    dead: float | None = None  # share of units that are 0 on (nearly) all probe rows
    saturated: float | None = None  # share of values where the activation is flat
    dead_units: list[int] | None = None
    mean: float | None = None  # of what the layer gives, after its activation
    std: float | None = None
    twins: list[list[int]] | None = None  # units with equal weights and gradients, in groups
    activations: Bins | None = None
    gradients: Bins | None = None  # of the weight, on the probe rows


@dataclass
class Look:
    """All layers at one step (the first is 1), in the order of the forward pass.

    loss: of the step.  probe: of the probe rows before it.  overhead: share of the time of the fit
    that watching took so far; the one number that differs between two runs of one seed.

    The look that closes a fit is of the weights that it leaves, those that early stopping puts back
    included.  No step was made with them: `loss`, update and ratio are None, `grad` is that of the
    probe rows, and `step` is the one that would come next.
    """

    step: int
    epoch: int
    lr: float
    loss: float | None = None
    overhead: float = 0.0
    probe: float | None = None
    layers: list[Layer] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """For a line of layers.jsonl."""
        layers = [_worded(vars(layer)) for layer in self.layers]
        return {**_worded({k: v for k, v in vars(self).items() if k != "layers"}), "layers": layers}

    @property
    def closing(self) -> bool:
        """Whether it was made when a fit had ended."""
        return self.loss is None

    @property
    def at(self) -> int:
        """The step that it is of; of the look that closes a fit, the last that was made."""
        return self.step - 1 if self.closing else self.step

    @property
    def when(self) -> str:
        """When it was made, within a sentence; the look that closes a fit stands at no step."""
        return "after the last step" if self.closing else f"at step {self.step}"

    def layer(self, name: str) -> Layer | None:
        """The layer of a name."""
        return next((x for x in self.layers if x.name == name), None)


def _worded(held: Mapping[str, Any]) -> dict[str, Any]:
    return {k: vars(v) if isinstance(v, Bins) else worded(v) for k, v in held.items()}


def read_looks(run: str | Path) -> list[Look]:
    """The looks in a run's folder; none where it was not watched.

    Raises FormatError with the line that is none.
    """
    return looks_in(Path(run) / FILE)


def rows_in(path: Path) -> list[Any]:
    """The lines of a file of looks, as JSON; none where there is no file."""
    try:
        return read_json_lines(path)
    except MissingFileError:
        return []


def looks_until(run: str | Path, step: int) -> list[Look]:
    """The looks of a run up to a step, at which it goes on: the file keeps no later ones."""
    held = read_looks(run) if step else []
    kept = [x for x in held if x.step <= step]
    path = Path(run) / FILE
    if held or path.exists():
        write_text(path, "".join(to_json(x.to_json()) + "\n" for x in kept))
    return kept


def append_look(run: str | Path, look: Look) -> None:
    """Writes a look behind those of a run."""
    append_line(Path(run) / FILE, to_json(look.to_json()))


def looks_in(path: Path) -> list[Look]:
    """The looks in a file of them."""
    looks = []
    for i, row in enumerate(rows_in(path), 1):
        try:
            looks.append(_look(row))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise FormatError(
                f"{path}:{i} is no look inside", got=str(error)[:60],
                fix="the run again; or the file without this line", line="",
            ) from None  # fmt: skip
    return looks


def _look(row: Mapping[str, Any]) -> Look:
    known = {f.name for f in fields(Layer)}
    layers = []
    for held in row["layers"]:
        values = {k: v for k, v in held.items() if k in known}
        for key in ("activations", "gradients"):
            if values.get(key) is not None:
                values[key] = _bins(values[key])
        for key, value in values.items():
            if key not in TEXTS and key not in PARTS:
                values[key] = _number(value)
        for key in TEXTS:
            if not isinstance(values.get(key, ""), str | None):
                raise TypeError(f"{key} is no text: {values[key]!r}")
        layers.append(Layer(**values))
    return Look(
        step=_whole(row["step"]), epoch=_whole(row["epoch"]), lr=_known(row["lr"]),
        loss=_number(row["loss"]), overhead=_known(row["overhead"]),
        probe=_number(row.get("probe")), layers=layers,
    )  # fmt: skip


TEXTS = ("name", "kind", "activation")
PARTS = ("activations", "gradients", "dead_units", "twins")


def _bins(held: Mapping[str, Any]) -> Bins:
    counts = [_whole(n) for n in held["counts"]]
    if len(counts) != BINS:
        raise ValueError(f"{len(counts)} counts")
    return Bins(_known(held["low"]), _known(held["high"]), counts)


def _number(value: Any) -> float | None:
    return None if value is None else _known(value)


def _known(value: Any) -> float:
    if isinstance(value, str):
        return NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"no number: {value!r}")
    return float(value)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"no whole number: {value!r}")
    return value
