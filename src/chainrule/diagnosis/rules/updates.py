"""How far a step moves the weights."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import ClassVar

from ..finding import ERROR, ERROR_TERM, WARNING, Finding, Fix, called, listed
from ..rule import Rule
from ..story import Story
from .gradients import rate, slower

RECENT = 5
"""Looks whose median counts: a single step may be odd."""


class UpdateRatio(Rule):
    """A layer changes far too much, or hardly at all, in a step, compared with its size.

    update:weight = |change of W| / |W|, at the highest lr so far.  high: the median of the last
    looks above this (0.1), the first left out, where Adam's steps are large; a single one has to be
    above twice that.  far: an error above this (1).  low: no look above this (1e-6).  usual_low,
    usual_high: the band that is commonly aimed at (1e-4, 1e-2), for displays.
    """

    id = "update-ratio"
    thresholds: ClassVar = {
        "low": 1e-6, "high": 0.1, "far": 1.0, "usual_low": 1e-4, "usual_high": 1e-2,
    }  # fmt: skip

    def word(self, ratio: float) -> str:
        """'ok', 'low' or 'high', by the usual band."""
        return "low" if ratio < self.usual_low else "high" if ratio > self.usual_high else "ok"

    def lacks(self, story: Story) -> str | None:
        """A step after the first."""
        known = any(x.ratio is not None for k in story.steps if k.step > 1 for x in k.layers)
        return None if known else "no step after the first was looked at"

    def find(self, story: Story) -> Iterator[Finding]:
        """One finding for the layers above, one for those below."""
        lifted = {look.step: story.lifted(look) for look in story.looks}
        high: list[tuple[float, str]] = []
        low: list[tuple[float, str]] = []
        for name in story.names:
            known = [
                (look.step, x.ratio * lifted[look.step])
                for look, x in story.of_layer(name)
                if x.ratio is not None
            ]
            later = [ratio for step, ratio in known if step > 1]
            if not later or name in story.frozen or not any(r for _, r in known):
                continue
            usual = statistics.median(later[-RECENT:])
            if usual > (self.high if len(later) > 1 else 2 * self.high):
                high.append((usual, name))
            elif max(later) < self.low and (len(later) > 1 or max(r for _, r in known) < self.low):
                low.append((max(later), name))
        after = [look.step for look in story.steps if look.step > 1]
        span = (after[0], after[-1]) if after else None
        if high:
            high.sort(reverse=True)
            top, name = high[0]
            yield Finding(
                self.id, ERROR if top > self.far else WARNING, "updates too large",
                f"{called(name)} changes by {top:.1e} of its size a step (usual: "
                f"{self.usual_low:g} to {self.usual_high:g})",
                "lr too high for this layer", [n for _, n in high], span, {"ratio": top},
                None, slower(story, top), ("ratio", name),
            )  # fmt: skip
        if low and span is not None:
            low.sort()
            least, name = low[0]
            cut = cut_off(story)
            yield Finding(
                self.id, WARNING, "updates too small",
                f"from step {span[0]} on {called(name)} "
                + (f"changes by at most {least:.1e} of its size a step" if least else
                   "does not change at all: by 0 of its size a step")
                + f" (usual: {self.usual_low:g} to {self.usual_high:g})",
                f"no gradient reaches it: {cut}" if cut else
                "lr too low, or hardly a gradient reaches it", [n for _, n in low], span,
                {"ratio": least}, None, jumped(story) if cut else faster(story), ("ratio", name),
            )  # fmt: skip


def cut_off(story: Story) -> str | None:
    """What keeps the error from a layer at the last look, which no learning rate mends."""
    last = story.looks[-1].layers if story.looks else []
    for layer in last:
        if layer.dead == 1.0:
            return f"all units of {called(layer.name)} are dead"
        if layer.saturated == 1.0:
            return f"all units of {called(layer.name)} are where {layer.activation} is flat"
    gone = [x.name for x in last if x.grad == 0 and x.name not in story.frozen]
    return f"the gradient of {called(gone[0])} is exactly 0" if gone else None


def jumped(story: Story) -> list[Fix]:
    """A lower learning rate, where a step changed a layer by more than a tenth of its size."""
    ratios = [x.ratio for look in story.steps for x in look.layers if x.ratio is not None]
    top = max(ratios, default=0.0)
    return slower(story, top) if top > UpdateRatio.thresholds["high"] else []


def faster(story: Story) -> list[Fix]:
    """A higher learning rate, or one for each weight."""
    found = [] if not story.lr else [rate(story.lr * 10)]
    if story.optimizer == "SGD":
        found.append(Fix("Adam, which scales the step of every weight",
                         {"optimizer": "adam", "lr": 3e-3}))  # fmt: skip
    return found


class Unchanged(Rule):
    """A layer that is to be trained does not change at all.

    looks: for so many looks (2).
    """

    id = "unchanged-weight"
    thresholds: ClassVar = {"looks": 2}

    def lacks(self, story: Story) -> str | None:
        """Steps with a learning rate."""
        if sum(look.lr > 0 for look in story.steps) < self.looks:
            return f"it takes {self.looks:g} looks at steps with a learning rate above 0"
        return None

    def find(self, story: Story) -> Iterator[Finding]:
        """Layers whose update is exactly 0 at every look."""
        still, missing, without = [], [], []
        looks = [look for look in story.steps if look.lr > 0]
        for name in story.names:
            layers = [look.layer(name) for look in looks]
            seen = [x for x in layers if x is not None and x.update is not None]
            if len(seen) < self.looks or name in story.frozen or any(x.update for x in seen):
                continue
            if all(x.weight == 0 for x in seen) and all(x.grad for x in seen):
                continue
            still.append(name)
            missing += [name] if all(x.grad is None for x in seen) else []
            without += [name] if all(x.grad == 0 for x in seen) else []
        if not still:
            return
        if missing:
            cause = f"{listed([*map(called, missing)])}: not among the optimizer's parameters"
            fix = Fix("an optimizer made of model.parameters(), after the model is complete",
                      code=True)  # fmt: skip
        elif without:
            names = listed([*map(called, without)])
            cause = f"{names}: no gradient reaches it (detached, unused, or all units dead)"
            fix = Fix("without detach(), numpy() or item() on the way from the layer to the loss",
                      code=True)  # fmt: skip
        else:
            cause = "the step is lost in rounding: the lr is far too low"
            fix = Fix("a higher lr") if not story.lr else faster(story)[0]
        yield Finding(
            self.id, ERROR, "weights that never change",
            f"the update of {listed([*map(called, still)])} is exactly 0 at "
            f"{len(looks)} looks",
            cause, still, (looks[0].step, looks[-1].step), {"layers": len(still)},
            ERROR_TERM if without else None, [fix],
        )  # fmt: skip


class Symmetry(Rule):
    """Units of one layer with equal weights and equal gradients: they stay one unit for ever.

    units: so many of a layer that have a twin (2).
    """

    id = "symmetry"
    thresholds: ClassVar = {"units": 2}

    def find(self, story: Story) -> Iterator[Finding]:
        """One finding for all layers with twins at the first look."""
        look = story.looks[0]
        found = []
        for layer in look.layers:
            groups = [g for g in layer.twins or () if len(g) > 1]
            count = sum(map(len, groups))
            if groups and count >= self.units and layer.name not in story.frozen:
                found.append((count, layer.name, groups))
        if not found:
            return
        found.sort(key=lambda x: -x[0])
        count, name, groups = found[0]
        yield Finding(
            self.id, ERROR, "units that are all alike",
            f"{count} units of {called(name)} have equal weights and equal gradients at step "
            f"{look.step} (units {listed(groups[0])})",
            "a constant start of the weights: the same error and input give the same step",
            [n for _, n, _ in found], (look.step, look.step), {"units": count}, ERROR_TERM,
            [Fix("random weights, such as nn.init.xavier_uniform_ gives", {"init": "xavier"})],
        )  # fmt: skip
