"""Gradients that vanish on the way back, or grow beyond all bounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from ...ops.core import is_number
from ...train.rates import largest_change, slower_rate
from ...train.watch import Layer, Look
from ..finding import ERROR, SLOPE, WARNING, WEIGHTS, Finding, Fix, called, span
from ..rule import Rule
from ..story import Story

RECENT = 5
"""Looks back: a number that is not finite does not go away."""
CLIP = Fix("clip_grad_norm=1.0", {"clip_grad_norm": 1.0})
RELU = Fix("ReLU in place of the activation: its slope is 1 where it is active",
           {"activation": "relu", "init": "kaiming"})  # fmt: skip
NORM = Fix("nn.LayerNorm before each activation", code=True)


def by_start(activation: str | None) -> Fix:
    """The way to start weights that suits an activation."""
    if activation in ("Tanh", "Sigmoid", "Softsign"):
        return Fix("nn.init.xavier_uniform_ on the weights", {"init": "xavier"})
    return Fix("nn.init.kaiming_normal_ on the weights", {"init": "kaiming"})


def slower(story: Story, ratio: float | None = None) -> list[Fix]:
    """A lower learning rate: see `train.rates.slower_rate`."""
    return [rate(slower_rate(story.lr, story.optimizer, ratio))] if story.lr else []


def advised(story: Story, ratio: float | None) -> list[Fix]:
    """The rate that the error named which ended the training; else a lower one."""
    told: Any = story.result.get("advised_lr")
    return [rate(told)] if is_number(told) and told > 0 else slower(story, ratio)


def rate(lr: float) -> Fix:
    """A learning rate, in few digits."""
    return Fix(f"lr={lr:g}", {"lr": float(f"{lr:g}")})


def trained(story: Story, look: Look) -> list[Layer]:
    """The layers of a look that have a gradient."""
    return [x for x in look.layers if x.grad is not None and x.name not in story.frozen]


def before_last(story: Story, look: Look) -> tuple[list[Layer], float | None]:
    """The layers before the last, and the last one's gradient to measure theirs by; None where it
    is no measure: 0, not finite, or of fewer than three layers."""
    layers = trained(story, look)
    last = layers[-1].grad if len(layers) >= 3 else None
    return layers[:-1], last if last and math.isfinite(last) else None


def ledger(layers: Sequence[Layer]) -> tuple[float, float] | None:
    """The products of the slopes and of the weights over layers; None where not all are known."""
    if not layers or any(x.slope is None or x.weights is None for x in layers):
        return None
    slopes = math.prod(x.slope for x in layers if x.slope is not None)
    weights = math.prod(x.weights for x in layers if x.weights is not None)
    return slopes, weights


def spelled(values: Sequence[float | None]) -> str:
    """`0.19 x 0.21 x 0.20`, the middle left out of a long one."""
    texts = ["-" if v is None else f"{v:.2g}" for v in values]
    if len(texts) > 6:
        texts = [*texts[:3], "..", *texts[-2:]]
    return " x ".join(texts)


def nothing(layers: Sequence[Layer]) -> bool:
    """Whether a layer's gradient is exactly 0: no rounding makes that."""
    return any(x.grad == 0 for x in layers)


class Vanishing(Rule):
    """The gradient of an early layer is a tiny part of the last layer's, and stays so.

    ratio: early / last below this (1e-3).  steps: for so many steps (20); where nothing at all
    arrives one look after the first is enough.  tiny: or every weight's gradient below this
    everywhere (1e-7), while the loss has not come down.
    """

    id = "vanishing"
    thresholds: ClassVar = {"ratio": 1e-3, "steps": 20, "tiny": 1e-7}

    def find(self, story: Story) -> Iterator[Finding]:
        """Compares the layers of every look, and asks the ledger for the factor to blame."""
        seen = story.lasting(
            lambda look: self._worst(story, look) is not None,
            total=lambda look: nothing(trained(story, look)[:-1]),
        )
        if self._long(story, seen):
            yield self._between_layers(story, seen)
            return
        seen = story.lasting(self._tiny, total=lambda look: nothing(trained(story, look)))
        low = story.expected is not None and min(story.column("loss"), default=math.inf) < (
            story.expected / 2
        )
        gone = seen and any(x.dead is not None and x.dead > 0.9 for x in seen[-1].layers)
        if not low and not gone and self._long(story, seen):
            names = [x.name for x in trained(story, seen[-1])]
            top = max(x.grad or 0.0 for x in seen[-1].layers)
            yield Finding(
                self.id, ERROR, "vanishing gradient",
                f"no weight of any layer has a gradient above {self.tiny:g} (largest "
                f"norm {top:.1e})",
                "all weights of a layer are 0: no error comes back through them"
                if any(x.weight == 0 for x in seen[-1].layers) else
                "the error at the output is nearly 0 though the loss is not: an output that is "
                "saturated, or a loss that is nearly constant", names,
                span(seen), {"grad": top}, after=seen[0].closing,
                fixes=[Fix("a loss that takes logits (CrossEntropyLoss, BCEWithLogitsLoss), and no "
                           "sigmoid or softmax before it", code=True), NORM],
            )  # fmt: skip

    def _long(self, story: Story, seen: Sequence[Look]) -> bool:
        if not seen:
            return False
        total = seen[-1].step > 1 and nothing(trained(story, seen[-1]))
        return total or seen[-1].step - seen[0].step >= self.steps

    def _worst(self, story: Story, look: Look) -> int | None:
        """The place of the layer with the smallest gradient, where that is too small."""
        layers, last = before_last(story, look)
        if last is None:
            return None
        grads = [x.grad or 0.0 for x in layers]
        least = min(range(len(grads)), key=lambda i: grads[i])
        return least if grads[least] < self.ratio * last else None

    def _tiny(self, look: Look) -> bool:
        bins = [x.gradients for x in look.layers if x.gradients is not None]
        return bool(bins) and all(max(abs(b.low), abs(b.high)) < self.tiny for b in bins)

    def _between_layers(self, story: Story, seen: list[Look]) -> Finding:
        look = seen[-1]
        place = self._worst(story, look)
        assert place is not None
        layers = trained(story, look)
        small, last = layers[place], layers[-1]
        assert small.grad is not None
        assert last.grad is not None
        limit = last.grad * self.ratio * 10
        names = [x.name for x in layers[:-1] if (x.grad or 0.0) < limit]
        times = last.grad / small.grad if small.grad else math.inf
        between = [x for x in layers[place:-1] if x.gain is not None or x.activation is not None]
        factor = f"a factor {times:.2g}" if math.isfinite(times) else "nothing arrives"
        cause, multiplier, fixes = _blame(between)
        return Finding(
            self.id, ERROR, "vanishing gradient",
            f"|grad| {last.grad:.1e} ({called(last.name)}) -> {small.grad:.1e} "
            f"({called(small.name)}): {factor} in {len(layers) - 1 - place} layers",
            cause, names, span(seen),
            {"first": small.grad, "last": last.grad,
             "factor": times if math.isfinite(times) else None},
            multiplier, fixes, ("grad", small.name), seen[0].closing,
        )  # fmt: skip


def _blame(layers: Sequence[Layer]) -> tuple[str, str | None, list[Fix]]:
    """Which factor of the ledger makes the error small on its way back."""
    activation = next((x.activation for x in layers if x.activation), None)
    found = ledger(layers)
    if found is None:
        return "which factor is to blame could not be computed", None, [by_start(activation), NORM]
    slopes, weights = found
    if slopes <= weights:
        text = f"slope of the activation: {spelled([x.slope for x in layers])} = {slopes:.1e}"
        first = [by_start(activation)] if activation in ("ReLU", "ReLU6") else [RELU]
        return f"{text}; weights x {weights:.2g}. The slope is to blame", SLOPE, [*first, NORM]
    text = f"weights: {spelled([x.weights for x in layers])} = {weights:.1e}; slope x {slopes:.2g}"
    return f"{text}. The weights are to blame", WEIGHTS, [by_start(activation), NORM]


def _finite(layer: Layer) -> bool:
    for v in (layer.grad, layer.weight, layer.update, layer.mean, layer.std):
        if v is not None and not math.isfinite(v):
            return False
    return True


class Exploding(Rule):
    """Numbers that are not finite, early gradients far above the last, or a sudden large gradient.

    ratio: early / last gradient, or the error's growth on its way back, above this (1e3), for two
    looks and while the loss is high.  times: a gradient so many times the median
    of the epochs before (10) in the last `recent` epochs (5), while the loss went up by `rise` (2).
    """

    id = "exploding"
    thresholds: ClassVar = {"ratio": 1e3, "times": 10, "recent": 5, "rise": 2}
    asks = "any"

    def find(self, story: Story) -> Iterator[Finding]:
        """The first of the three that holds."""
        found = self._not_finite(story) or self._between_layers(story) or self._sudden(story)
        if found is not None:
            yield found

    def _not_finite(self, story: Story) -> Finding | None:
        told = str(story.result.get("error") or "")
        bad = [
            (look, layer.name)
            for look in story.looks[-RECENT:]
            for layer in look.layers
            if not _finite(layer)
        ]  # fmt: skip
        odd = [v for v in story.column("loss") if not math.isfinite(v)]
        if not bad and not odd and "not finite" not in told:
            return None
        steps = None
        origin = story.result.get("origin")
        evidence = f"{told}; {origin}" if told and origin else told or "a loss is not finite"
        if bad:
            steps = span([bad[0][0], story.looks[-1]])
            evidence = f"{called(bad[0][1])} is not finite {bad[0][0].when}"
        last = story.looks[-1] if story.looks else None
        cause, multiplier = "an update beyond what numbers hold: the lr, or the weights' gain", None
        top: float | None = None
        change = largest_change(story.looks)
        if last is not None and change is not None and change[0] > 0.1:
            top = change[0]
            cause = (f"the weights of {called(change[1].name)} changed by {top:.1e} of their size "
                     f"in step {last.step}: the lr is too high")  # fmt: skip
            multiplier = WEIGHTS
        return Finding(
            self.id, ERROR, "exploding numbers", evidence, cause, [n for _, n in bad[:1]], steps,
            {}, multiplier, [*advised(story, top), CLIP], after=bool(bad) and bad[0][0].closing,
        )  # fmt: skip

    def _large(self, story: Story, look: Look) -> Layer | None:
        """The layer with the largest gradient, where that is too large."""
        layers, last = before_last(story, look)
        if last is None:
            return None
        top = max(layers, key=lambda x: x.grad or 0.0)
        return top if (top.grad or 0.0) > self.ratio * last else None

    def _grows(self, look: Look) -> Layer | None:
        """The first layer, where the error grows too much on its way back to it."""
        known = [x for x in look.layers if x.gain is not None]
        total = math.prod(x.gain for x in known if x.gain is not None)
        return known[0] if len(known) > 1 and total > self.ratio else None

    def _between_layers(self, story: Story) -> Finding | None:
        if story.learned(0.5):
            return None
        seen = story.lasting(lambda look: self._large(story, look) or self._grows(look))
        if not seen:
            return None
        look = seen[-1]
        top = self._large(story, look) or self._grows(look)
        assert top is not None
        between = look.layers[look.layers.index(top) : -1]
        found = ledger([x for x in between if x.gain is not None])
        cause, multiplier = "which factor is to blame could not be computed", None
        if found is not None:
            cause = f"weights x {found[1]:.1e}, slope x {found[0]:.1e} over {len(between)} layers"
            multiplier = WEIGHTS if found[1] > found[0] else SLOPE
        last = look.layers[-1]
        grads = f"|grad| {last.grad or 0.0:.1e} ({called(last.name)}) -> {top.grad or 0.0:.1e} " \
            f"({called(top.name)})"  # fmt: skip
        total = math.prod(x.gain for x in between if x.gain is not None)
        return Finding(
            self.id, ERROR, "exploding gradient",
            f"{grads}; on the way back the error becomes {total:.1e} times as large",
            cause, [top.name], span(seen),
            {"first": top.grad, "last": last.grad, "gain": total}, multiplier,
            [by_start(top.activation), CLIP, *slower(story)], ("grad", top.name), seen[0].closing,
        )  # fmt: skip

    def _sudden(self, story: Story) -> Finding | None:
        norms, losses = story.column("grad_norm"), story.column("loss")
        for i in range(max(5, len(norms) - int(self.recent)), min(len(norms), len(losses))):
            best = min(losses[:i])
            if not losses[i] > self.rise * best > 0:
                continue
            usual = statistics.median(norms[max(i - 50, 0) : i])
            if 0 < usual * self.times < norms[i]:
                row = story.rows[len(story.rows) - len(norms) + i]
                return Finding(
                    self.id, WARNING, "sudden large gradient",
                    f"gradient norm {norms[i]:.2g} in epoch {row.get('epoch')}, "
                    f"{norms[i] / usual:.0f} times the median before; the "
                    f"loss went from {best:.4g} to {losses[i]:.4g}",
                    "a step across a cliff of the loss: the lr is too high there", [],
                    None, {"norm": norms[i], "usual": usual}, None, [CLIP, *slower(story)],
                )  # fmt: skip
        return None
