"""Units that say nothing: dead, saturated, or on a scale that the next layer can't use."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from ...train.watch import Layer, Look
from ..finding import (
    ERROR,
    INPUT,
    NOTE,
    SLOPE,
    WARNING,
    WEIGHTS,
    Finding,
    Fix,
    called,
    listed,
    percent,
    span,
)
from ..rule import Rule
from ..story import Story
from .gradients import by_start, slower

Seen = tuple[float, str, list[Look]]


def _worst_first(
    story: Story, names: Sequence[str], share: Callable[[Layer], float | None]
) -> list[Seen]:
    """The layers that have had a share at the last two looks and more, with those looks; or at
    the last one, where nothing of the layer is left."""
    found: list[Seen] = []
    for name in names:
        seen = story.lasting(
            lambda look, name=name: share(look.layer(name) or Layer(name)) is not None,
            total=lambda look, name=name: share(look.layer(name) or Layer(name)) == 1.0,
        )
        if seen:
            found.append((share(seen[-1].layer(name) or Layer(name)) or 0.0, name, seen))
    return sorted(found, key=lambda x: -x[0])


def _uncounted(story: Story, names: Sequence[str], share: str, known: str) -> str | None:
    """Why nothing is known of a share, where it was never computed."""
    seen = (x for name in names for _, x in story.of_layer(name))
    if any(getattr(x, share) is not None for x in seen):
        return None
    return f"no activation here is known to {known}"


SCALED = Fix("inputs scaled to mean 0 and deviation 1", code=True)


class Dead(Rule):
    """Many units of a ReLU layer are 0 on every probe row: no gradient goes through them.

    share: of a layer's units (0.5), at two looks in a row, or at one where it is all of them.
    error: from this share on the layer is as good as gone (0.9).  loss: last loss / that of an
    ignorant answer below which it is one grade milder (0.5): the network has learned without them.
    """

    id = "dead-relu"
    thresholds: ClassVar = {"share": 0.5, "error": 0.9, "loss": 0.5}

    def lacks(self, story: Story) -> str | None:
        """Units that are counted."""
        return _uncounted(story, story.names, "dead", "die")

    def find(self, story: Story) -> Iterator[Finding]:
        """One finding for all such layers, with the dead units of the worst by number."""
        grades = (WARNING, NOTE) if story.learned(self.loss) else (ERROR, WARNING)
        found = _worst_first(story, story.names, self._share)
        if not found:
            return
        share, name, seen = found[0]
        units = (seen[-1].layer(name) or Layer(name)).dead_units or []
        early = seen[0].step == 1
        yield Finding(
            self.id, grades[share <= self.error], "dead units",
            f"{percent(share)} of {called(name)}'s units are 0 on all probe rows (units "
            f"{listed(units)})",
            "the slope is 0 there, so that no error gets through: "
            + ("from the start: a bad start of the weights, or inputs on an odd scale" if early
               else "a step too large pushed them below 0; suspected: lr too high"),
            [n for _, n, _ in found], span(seen),
            {"share": share, "units": len(units)}, SLOPE,
            [*([] if early else slower(story)), Fix("LeakyReLU", {"activation": "leaky_relu"}),
             by_start("ReLU")], ("dead", name), seen[0].closing,
        )  # fmt: skip

    def _share(self, layer: Layer) -> float | None:
        return layer.dead if layer.dead is not None and layer.dead > self.share else None


class Saturated(Rule):
    """Most values of a hidden tanh or sigmoid layer lie where it is flat.

    share: of a hidden layer's values (0.5), at two looks in a row, or at one where it is all of
    them.  loss: last loss / that of an ignorant answer below which it is a note (0.7): a network
    that has learned is often sure.
    """

    id = "saturated"
    thresholds: ClassVar = {"share": 0.5, "loss": 0.7}

    def lacks(self, story: Story) -> str | None:
        """Values that are counted."""
        return _uncounted(story, story.names[:-1], "saturated", "saturate")

    def find(self, story: Story) -> Iterator[Finding]:
        """A finding a layer."""
        found = _worst_first(story, story.names[:-1], self._flat)
        if not found:
            return
        share, name, seen = found[0]
        layer = seen[-1].layer(name) or Layer(name)
        large = story.input_size > 5
        early = seen[0].step == 1
        yield Finding(
            self.id, NOTE if story.learned(self.loss) else WARNING, "saturated units",
            f"{percent(share)} of {called(name)}'s values lie where {layer.activation} is flat",
            "its slope is nearly 0 there; "
            + ("the inputs are large" if large and name == story.names[0]
               else "the weights are too large from the start" if early
               else "the steps made the weights too large: suspected: lr too high"),
            [n for _, n, _ in found], span(seen), {"share": share}, SLOPE,
            [*([SCALED] if large else []), *([] if early else slower(story)),
             by_start(layer.activation), Fix("nn.LayerNorm before the activation", code=True)],
            ("saturated", name), seen[0].closing,
        )  # fmt: skip

    def _flat(self, layer: Layer) -> float | None:
        flat = layer.saturated
        return flat if flat is not None and flat > self.share else None


class ActivationScale(Rule):
    """At the start hidden layers give far too small or too large values, or more and more so.

    low, high: of the deviation (1e-3, 10).  spread: largest / smallest variance of the hidden
    layers (1e4).
    """

    id = "activation-scale"
    thresholds: ClassVar = {"low": 1e-3, "high": 10.0, "spread": 1e4}

    def lacks(self, story: Story) -> str | None:
        """The start."""
        return "nobody looked at the first step" if story.looks[0].step != 1 else None

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the first look."""
        look = story.looks[0]
        hidden = [x for x in look.layers[:-1] if x.std is not None and x.kind != "Embedding"]
        if look.step != 1 or not hidden:
            return
        known = sorted((x.std or 0.0, x.name) for x in hidden)
        least, most = known[0], known[-1]
        wide = least[0] > 0 and most[0] / least[0] > math.sqrt(self.spread)
        if least[0] >= self.low and most[0] <= self.high and not wide:
            return
        name = most[1] if most[0] > self.high else least[1]
        size = story.input_size
        large = size > 5 or size < 0.05
        worst = look.layer(name)
        yield Finding(
            self.id, WARNING, "activations on an odd scale",
            f"at the start the layers' deviations go from {least[0]:.2g} ({called(least[1])}) to "
            f"{most[0]:.2g} ({called(most[1])})",
            f"the inputs have a deviation of {size:.2g}" if large
            else "the weights' start: what a layer gives is not on the scale of what it takes",
            [name], (1, 1), {"smallest": least[0], "largest": most[0]}, INPUT if large else WEIGHTS,
            [*([SCALED] if large else []), by_start(_activation(worst))], ("std", name),
        )  # fmt: skip


def _activation(layer: Layer | None) -> str | None:
    return None if layer is None else layer.activation
