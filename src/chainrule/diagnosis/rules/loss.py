"""What the loss does: where it begins, whether it moves, and which way."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

from ...markup import counted
from ...train.watch.start import Expected
from ..finding import ERROR, ERROR_TERM, NOTE, WARNING, Finding, Fix, called, percent
from ..rule import Rule
from ..story import Story
from .gradients import CLIP, slower
from .updates import cut_off, faster, jumped


class InitialLoss(Rule):
    """The first loss is far from that of an answer that knows nothing of the input.

    share, nats: off by more than this share of it (0.25) and by more than this (0.5).  times: by
    this factor (2) instead where the answer is a number, since the first weights add to its
    squares.  Lower is a note: the weights know something.
    """

    id = "loss-at-init"
    thresholds: ClassVar = {"share": 0.25, "nats": 0.5, "times": 2.0}

    def lacks(self, story: Story) -> str | None:
        """The start, and what to compare it with."""
        if story.looks[0].step != 1:
            return "nobody looked at the first step"
        if not isinstance(story.start.get("expected_loss"), (int, float)):
            return "the loss of an answer that knows nothing was not computed"
        return None

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the first look."""
        look, expected = story.looks[0], story.start.get("expected_loss")
        first = look.probe if look.probe is not None else look.loss
        if look.step != 1 or first is None or not isinstance(expected, (int, float)):
            return
        exact = story.start.get("expected_exact") is not False
        known = Expected(float(expected), str(story.start.get("expected_why")), exact)
        if not math.isfinite(first) or not expected > 0:
            return
        if not known.far(first, self.share, self.nats, max(self.times, 1.0)):
            return
        above = first > expected
        yield Finding(
            self.id, WARNING if above else NOTE, "loss at the start",
            f"the loss begins at {first:.4g}; an answer that knows nothing has {expected:.4g} "
            f"({known.why})",
            "the first outputs are far off: the last layer's weights are too large, or its bias is "
            "far from the targets' mean" if above
            else "the weights know something already, or the target is among the inputs",
            story.names[-1:], (1, 1), {"first": first, "expected": float(expected)}, ERROR_TERM,
            [Fix("smaller weights in the last layer, and its bias at the targets' mean (or targets "
                 "scaled to mean 0 and deviation 1)",
                 {"init": "default"} if story.choices.get("init") != "default" else {}, code=True)]
            if above else [],
        )  # fmt: skip


class Flat(Rule):
    """After some epochs the loss is still, or again, that of an answer that knows nothing.

    epochs: so many (5).  share: best loss / that of an ignorant answer above this (0.95).  falling:
    the loss fell by less than this share over those epochs (0.02).  ending: or, whatever its
    course, what a training of `steps` (50) or of so many epochs ends with is above this share of it
    (0.99), and above `share` in its last epoch.
    """

    id = "loss-flat"
    thresholds: ClassVar = {
        "epochs": 5, "share": 0.95, "falling": 0.02, "ending": 0.99, "steps": 50,
    }  # fmt: skip
    asks = "rows"

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the best epoch so far."""
        losses = [v for v in story.column("loss") if math.isfinite(v)]
        expected, course = story.expected, story.course("loss")
        if not losses or course is None or expected is None or not expected > 0:
            return
        best, before = course.best, losses[-min(max(int(self.epochs), 1), len(losses))]
        flat = best > self.share * expected and losses[-1] >= (1 - self.falling) * before
        ended = self._ends_high(story, expected)
        if not ended and (len(story.rows) < self.epochs or not flat):
            return
        cause, fixes = self._why(story)
        last = story.ending if ended else losses[-1]
        epochs = len(story.rows)
        right = self._right(story)
        yield Finding(
            self.id, ERROR,
            "nothing is learned" if right is None else "loss no better than a guess",
            f"after {counted(epochs, 'epoch')} the loss is {last:.4g}, an epoch's at best "
            f"{best:.4g}; an answer that knows nothing has {expected:.4g}"
            + (f"; but {percent(right)} of the held-out rows are right" if right else ""),
            cause, [], None, {"best": best, "last": last, "expected": expected}, None, fixes,
        )  # fmt: skip

    def _right(self, story: Story) -> float | None:
        """The share of rows that are right, where it is far above that of the largest class: what
        is wrong then is how sure the network is."""
        counts = [n for n in story.start.get("class_counts") or () if isinstance(n, int)]
        held = [v for v in story.column("val_accuracy") if math.isfinite(v)]
        tested = story.result.get("test_accuracy")
        if not held and isinstance(tested, (int, float)):  # the log holds another metric
            held = [float(tested)]
        if not held or not sum(counts):
            return None
        guess = max(counts) / sum(counts)
        return held[-1] if held[-1] > guess + (1 - guess) / 4 else None

    def _ends_high(self, story: Story, expected: float) -> bool:
        """Whether a fit that has ended leaves no more than it takes to know nothing."""
        if not isinstance(story.start.get("expected_loss"), (int, float)):
            return False
        over = story.result.get("stopped") not in (None, "interrupted", "failed")
        if not over and not (story.looks and story.looks[-1].closing):
            return False
        last, row = story.ending, story.rows[-1]
        now, step = (
            float(v) if isinstance(v, (int, float)) else math.nan
            for v in (row.get("loss"), row.get("step"))
        )
        enough = len(story.rows) >= self.epochs or step >= self.steps
        if not enough or last is None or not math.isfinite(last):
            return False
        return last > self.ending * expected and now > self.share * expected

    def _why(self, story: Story) -> tuple[str, list[Fix]]:
        last = story.looks[-1].layers if story.looks else []
        gone = [x.name for x in last if x.dead is not None and x.dead > 0.9]
        if gone:
            return f"nothing gets through {called(gone[0])}, whose units are dead", slower(story)
        cut = cut_off(story)
        if cut:
            return f"hardly any error gets through: {cut}", jumped(story)
        ratios = [x.ratio for look in story.looks for x in look.layers
                  if look.step > 1 and x.ratio is not None]  # fmt: skip
        usual = statistics.median(ratios) if ratios else None
        if usual is not None and usual < 1e-4:
            return f"the weights hardly move ({usual:.1e} of their size a step): lr too low, or " \
                "hardly a gradient", faster(story)  # fmt: skip
        if usual is not None and usual > 0.03:
            return f"the weights jump ({usual:.1e} of their size a step): lr too high", slower(
                story
            )
        return (
            "the targets do not follow from the inputs (shuffled apart, constant), or the network "
            "is too small to see how",
            [Fix("a look at rows and targets side by side"),
             Fix("a wider network", {"layers": [64, 64]}), *slower(story)],
        )  # fmt: skip


class Oscillating(Rule):
    """The loss goes up and down by turns, and not by little.

    epochs: the window (10).  turns: changes of direction in it, as a share (0.7).  size: of a
    change from epoch to epoch, in parts of the loss at the start (0.05).
    """

    id = "loss-oscillating"
    thresholds: ClassVar = {"epochs": 10, "turns": 0.7, "size": 0.05}
    asks = "rows"

    def lacks(self, story: Story) -> str | None:
        """Epochs."""
        least = max(self.epochs, 3)
        return f"it takes {least:g} epochs" if len(story.rows) < least else None

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the last epochs."""
        losses = story.column("loss")[-max(int(self.epochs), 3) :]
        if len(losses) < max(self.epochs, 3) or not all(map(math.isfinite, losses)):
            return
        changes = [b - a for a, b in pairwise(losses)]
        turns = sum(a * b < 0 for a, b in pairwise(changes)) / (len(changes) - 1)
        if turns < self.turns:
            return
        size = sum(abs(c) / len(changes) for c in changes)  # each part: the sum may overflow
        scale = story.expected or losses[0]
        fallen = losses[0] - losses[-1] > 2 * size
        if not scale > 0 or size < self.size * scale or fallen:
            return
        yield Finding(
            self.id, WARNING, "loss goes up and down",
            f"in {turns:.0%} of the last {len(losses)} epochs the loss turned, by {size:.2g} on "
            f"average (now {losses[-1]:.4g})",
            "steps across the valley instead of along it: suspected: lr too high, or batches too "
            "small", [], None, {"turns": turns, "size": size}, None,
            [*slower(story), *_larger_batch(story)],
        )  # fmt: skip


def _larger_batch(story: Story) -> list[Fix]:
    """Four times as large, where a batch does not hold all rows already."""
    held = story.choices.get("batch_size", story.recipe.get("batch_size"))
    changes = {"batch_size": held * 4} if type(held) is int else {}
    return [] if story.start.get("batches") == 1 else [Fix("a larger batch", changes)]


class Diverging(Rule):
    """The training loss stays well above its best, or is well above where it began.

    epochs: for so many (3).  times: times the best (3), an error; risen: a warning (1.3).  size:
    and by more than this part of the loss at the start (0.1).  Where it began needs no patience:
    after any epoch, `times` the loss before the first step is an error.
    """

    id = "loss-diverging"
    thresholds: ClassVar = {"epochs": 3, "times": 3.0, "risen": 1.3, "size": 0.1}
    asks = "rows"

    def find(self, story: Story) -> Iterator[Finding]:
        """Of the last epochs, or of the last one against the start."""
        losses = story.column("loss")
        begun = max(story.first or math.inf, story.expected or 0.0)
        if losses and math.isfinite(losses[-1]) and losses[-1] >= self.times * begun:
            yield Finding(
                self.id, ERROR, "loss above its start",
                f"the training loss of epoch {story.rows[-1].get('epoch')} is {losses[-1]:.4g}; it "
                f"began at {story.first:.4g}",
                "lr too high", [], None, {"first": story.first, "now": losses[-1]}, None,
                [*slower(story), CLIP],
            )  # fmt: skip
            return
        last = losses[-max(int(self.epochs), 1) :]
        course = story.course("loss")
        if course is None or not all(map(math.isfinite, last)) or last[-1] < last[0]:
            return
        best, row = course.best, story.rows[course.at]
        if not best > 0 or len(losses) <= len(last):
            return
        least = min(last)
        scale = story.expected or losses[0]
        if least < self.risen * best or least - best < self.size * scale:
            return
        yield Finding(
            self.id, ERROR if least >= self.times * best else WARNING, "loss rises",
            f"for {len(last)} epochs the training loss is at least {least / best:.1f} times its "
            f"best (epoch {row.get('epoch')})",
            "lr too high", [], None, {"best": best, "now": last[-1]}, None,
            [*slower(story), CLIP],
        )  # fmt: skip
