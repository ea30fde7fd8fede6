"""Pictures of a model taken during its training: few, evenly spread however long it gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError
from ..functional import softmax
from ..markup import block
from ..train import Callback
from ..train.evaluation import predict
from ..train.files import write_text

if TYPE_CHECKING:
    from ..train import Trainer

MOST = 20


class Moments(Callback):
    """Takes a picture at the start, after every so many epochs, and at the end.

    When there are more than MOST, every other is dropped and the distance doubles.  A file of the
    run keeps them, and a resumed run goes on with those before its step.
    """

    file = ""
    every_steps = 1 << 40

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.every = 1

    def seen(self, trainer: Trainer) -> dict[str, Any]:
        """What a picture holds, besides its step."""
        raise NotImplementedError

    def header(self) -> dict[str, Any]:
        """What holds for all pictures."""
        raise NotImplementedError

    def shown(self) -> str:
        """What was seen as HTML for notebooks."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        name = type(self).__name__
        return self.shown() if self.frames else block(f"{name}: no picture was taken yet")

    def __repr__(self) -> str:
        ends = [f"{f['step']}" for f in (*self.frames[:1], *self.frames[-1:])]
        steps = f", step {' to '.join(ends)}" if ends else ""
        return f"{type(self).__name__}({len(self.frames)} pictures{steps})"

    def on_fit_start(self, trainer: Trainer) -> None:
        """The model as it was drawn; after a resume what was seen before it."""
        held = read_moments(trainer.run.path / self.file) if trainer.run and trainer.step else None
        if held is not None:
            self.frames = [f for f in held["frames"] if f["step"] <= trainer.step]
            self.every = int(held.get("every", 1))
        if not self.frames:
            self.take(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """A picture every so many epochs."""
        if trainer.epoch % self.every == 0:
            self.take(trainer)
        if len(self.frames) > MOST:
            self.frames = self.frames[::2]
            self.every *= 2

    def on_fit_end(self, trainer: Trainer) -> None:
        """The model as it is kept, and the file."""
        if self.frames and self.frames[-1]["step"] == trainer.step:
            self.frames.pop()
        self.take(trainer)
        if trainer.run is not None:
            write_text(trainer.run.path / self.file, json.dumps(self.as_data()))

    def take(self, trainer: Trainer) -> None:
        """One picture."""
        accuracy = trainer.row.get("val_accuracy") if trainer.step else None
        self.frames.append({"step": trainer.step, "epoch": trainer.epoch, "accuracy": accuracy,
                            **self.seen(trainer)})  # fmt: skip

    def as_data(self) -> dict[str, Any]:
        """For the file."""
        return {**self.header(), "every": self.every, "frames": self.frames}


def probabilities(model: Any, x: Any) -> Any:
    """(N, C): what the model gives each class."""
    return np.asarray(softmax(predict(model, (x,), max(len(x), 1)), -1), np.float64)


def read_moments(path: Path) -> dict[str, Any] | None:
    """The pictures of a run; None where it has none.  Raises FormatError for what is none."""
    try:
        held = json.loads(path.read_bytes())
        for f in held["frames"]:
            int(f["step"])
        return dict(held) if held["frames"] else None
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(f"{path.name} holds no pictures of a training", got=str(error)[:80],
                          fix="delete it, or train again", line="") from None  # fmt: skip
