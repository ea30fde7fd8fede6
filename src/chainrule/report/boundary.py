"""The decision boundary of 2-D data while it is learned: pictures taken during the training.

`Frames` is a callback that asks the model for the classes on a grid of points; the file
boundary.json of a run keeps them.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import nn
from ..errors import FormatError, ShapeError
from ..tensor.core import wrap
from .charts import BLUE, GREEN, PURPLE, VERMILLION, Chart, percent
from .moments import Moments, probabilities, read_moments
from .notebook import chart_html
from .svg import frame, text

if TYPE_CHECKING:
    from ..train import Trainer

FILE = "boundary.json"
SIDE, MOST_UNITS, LEVELS, MOST_POINTS = 36, 16, 4, 120
"""Points along an axis, lines of hidden units, steps of confidence, rows drawn."""
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE)


class Frames(Moments):
    """Takes the pictures: `Trainer(..., callbacks=[Frames(x, y)])`.

    x: the rows that set the frame (N, 2).  true: their classes (N,), to draw them by.  In a
    notebook it shows four moments, from the first weights to the last.

    >>> import chainrule
    >>> from chainrule import data, nn, optim
    >>> from chainrule.train import Trainer
    >>> _ = chainrule.manual_seed(0)
    >>> x, y = data.moons(40, seed=0)
    >>> model, frames = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)), Frames(x, y)
    >>> loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1)
    >>> _ = Trainer(model, loss, optimizer, callbacks=[frames]).fit((x, y), epochs=3)
    >>> frames
    Frames(4 pictures, step 0 to 6)
    >>> frames._repr_html_().count("<svg")
    4
    """

    file = FILE

    def __init__(self, x: Any, true: Any = None) -> None:
        super().__init__()
        self.x, self.true = np.asarray(x), None if true is None else np.asarray(true)
        if self.x.ndim != 2 or self.x.shape[1] != 2:
            raise ShapeError("Frames: x must be rows in the plane", expected="(N, 2)",
                             got=str(self.x.shape))  # fmt: skip
        if self.true is not None and self.true.shape != self.x.shape[:1]:
            raise ShapeError("Frames: true must be a class for each row",
                             expected=f"({len(self.x)},)", got=str(self.true.shape))  # fmt: skip
        values = np.asarray(x, np.float64)
        low, high = values.min(0), values.max(0)
        room = 0.08 * (high - low)
        self.low, self.high = (low - room).tolist(), (high + room).tolist()
        axes = [np.linspace(a, b, SIDE) for a, b in zip(self.low, self.high, strict=True)]
        across, up = np.meshgrid(axes[0], axes[1][::-1])
        self.grid = wrap(np.stack([across.ravel(), up.ravel()], 1).astype(np.float32))

    def seen(self, trainer: Trainer) -> dict[str, Any]:
        """The classes on the grid, and where units of the first layer are 0."""
        cells = cells_of(probabilities(trainer.model, self.grid))
        return {"cells": base64.b64encode(cells.tobytes()).decode(),
                "units": units_of(trainer.model)}  # fmt: skip

    def header(self) -> dict[str, Any]:
        """Where the grid lies."""
        return {"low": self.low, "high": self.high, "side": SIDE}

    def shown(self) -> str:
        """The chart of the boundary with its pictures."""
        data = self.as_data()
        x, true = (self.x[:0], ()) if self.true is None else (self.x, self.true)
        stills = [still(data, k, x, true) for k in some_frames(self.frames)]
        return chart_html(chart(data), stills)


def some_frames(frames: list[dict[str, Any]]) -> list[int]:
    """Four of them, evenly spread, the first and the last among them."""
    return sorted({round(k * (len(frames) - 1) / 3) for k in range(4)})


def chart(data: dict[str, Any]) -> Chart:
    """What the pictures show, in words and as a table."""
    frames = data["frames"]
    return Chart(
        "boundary", f"The boundary from step {frames[0]['step']} to {frames[-1]['step']}",
        f"{len(frames)} pictures were taken during the training; a shape stands for a class.",
        "The class that the model gives to every point of the plane, stronger where it is surer, "
        "with some of the rows, from the first weights to those that were kept.",
        "A boundary that follows the rows early and then only smooths out. One that winds round "
        "single rows is learning by heart.",
        _seen(frames), ["step", "epoch", "validation accuracy"],
        [[f["step"], f.get("epoch"), f.get("accuracy")] for f in frames],
    )  # fmt: skip


def _seen(frames: list[dict[str, Any]]) -> str:
    known = [f for f in frames if f.get("accuracy") is not None]
    if not known:
        return "No validation accuracy was measured along the way."
    best = max(f["accuracy"] for f in known)
    first = next(f for f in known if f["accuracy"] >= 0.99 * best)
    return (f"Validation accuracy comes within 1 % of its best, {percent(best, 1)}, by step "
            f"{first['step']}.")  # fmt: skip


def cells_of(p: Any) -> Any:
    """Class and confidence of probabilities (N, C) in a byte each: class * LEVELS + level.

    Where a probability is not finite: 255.
    """
    classes = p.shape[1]
    sure = (p.max(1) - 1 / classes) / (1 - 1 / classes)
    level = np.clip((np.nan_to_num(sure) * LEVELS).astype(np.int64), 0, LEVELS - 1)
    cells = np.minimum(p.argmax(1), 254 // LEVELS - 1) * LEVELS + level
    return np.where(np.isfinite(p).all(1), cells, 255).astype(np.uint8)


def units_of(model: nn.Module) -> list[list[float]]:
    """For each unit of the first layer, w0, w1, b: it is 0 where w0 x0 + w1 x1 + b is."""
    mean, std = 0.0, 1.0
    for module in model.children():
        if hasattr(module, "mean") and hasattr(module, "std"):
            mean, std = float(module.mean.item()), float(module.std.item())
        if isinstance(module, nn.Linear):
            if module.in_features != 2:
                return []
            w = np.asarray(module.weight.detach(), np.float64) / std
            b = np.zeros(len(w)) if module.bias is None else np.asarray(module.bias.detach())
            b = b - w.sum(1) * mean
            return [[float(f"{v:.4g}") for v in (*w[i], b[i])] for i in range(len(w))][:MOST_UNITS]
    return []


def read_frames(path: Path) -> dict[str, Any] | None:
    """The pictures of a run; None where it has none.  Raises FormatError for what is none."""
    held = read_moments(path)
    try:
        for f in held["frames"] if held else ():
            if len(base64.b64decode(f["cells"])) != held["side"] ** 2:  # type: ignore[index]
                raise ValueError("a picture of another size")
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path.name} holds no pictures of a boundary", got=str(error)[:80],
                          fix="delete it, or train again", line="") from None  # fmt: skip
    return held


def still(data: dict[str, Any], k: int, x: Any, true: Any) -> str:
    """One picture with the rows as they are."""
    side, f = data["side"], data["frames"][k]
    cells = np.frombuffer(base64.b64decode(f["cells"]), np.uint8).reshape(side, side)
    size = 300
    parts = [f'<g transform="scale({size / side:.4g})" shape-rendering="crispEdges">']
    for value in np.unique(cells):
        runs = []
        for i in range(side):
            row = np.flatnonzero(cells[i] == value)
            for part in np.split(row, np.flatnonzero(np.diff(row) > 1) + 1) if row.size else []:
                runs.append(f"M{part[0]} {i}h{part.size}v1h-{part.size}z")
        parts.append(f'<path {_style(int(value))} d="{"".join(runs)}"/>')
    parts.append("</g>")
    parts += points(data, x, true, size)
    label = f"Decision boundary at step {f['step']}, epoch {f.get('epoch')}"
    parts.append(text(6, size + 22, f"step {f['step']}", kind="large"))
    return frame("".join(parts), label, size, size + 30)


def _style(value: int) -> str:
    if value == 255:
        return 'class="none"'
    c = COLOURS[value // LEVELS % len(COLOURS)]
    return f'fill="{c}" fill-opacity="{0.12 + 0.14 * (value % LEVELS):.2f}"'


SHAPES = ((-2.6, 0, "a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0z"), (-2.4, -2.4, "h4.8v4.8h-4.8z"),
          (0, -3, "l3 5.4h-6z"), (0, -3.4, "l3.4 3.4l-3.4 3.4l-3.4-3.4z"))  # fmt: skip
"""A shape for each class (where it begins, and how it goes on), so that not only colour tells."""


def some_of(count: int) -> list[int]:
    """The rows that are drawn: the same ones each time, whatever the order of the classes."""
    return sorted(map(int, np.random.default_rng(0).permutation(count)[:MOST_POINTS]))


def points(data: dict[str, Any], x: Any, true: Any, size: float) -> list[str]:
    """The rows, each as the shape of its class."""
    (x0, y0), (x1, y1) = data["low"], data["high"]
    marks: dict[int, list[str]] = {}
    for i in some_of(len(x)):
        px = (float(x[i, 0]) - x0) / (x1 - x0) * size
        py = (y1 - float(x[i, 1])) / (y1 - y0) * size
        c = int(true[i]) % len(SHAPES)
        dx, dy, rest = SHAPES[c]
        marks.setdefault(c, []).append(f"M{px + dx:.1f} {py + dy:.1f}{rest}")
    return [f'<path class="row" fill="{COLOURS[c]}" d="{"".join(d)}"/>' for c, d in marks.items()]
