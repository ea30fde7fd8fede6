"""What only the model itself can tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ...train import Watch
from ...train.evaluation import mode
from ..finding import ERROR, INPUT, Finding, Fix
from ..leak import leak_of
from ..rule import Rule
from ..story import Story


class BatchLeak(Rule):
    """The output for one example depends on another example of the batch: d out_i / d in_j != 0.

    rows: so many examples are tried (4).  In evaluation mode, where a BatchNorm does not mix.
    """

    id = "batch-leak"
    thresholds: ClassVar = {"rows": 4}
    asks = "trainer"

    def applies(self, story: Story) -> str | None:
        """It also needs rows: those of the Watch."""
        found = super().applies(story)
        if found is None and self._watch(story) is None:
            found = "it needs rows: a Watch among the trainer's callbacks, or chainrule preflight"
        return found

    def _watch(self, story: Story) -> Watch | None:
        callbacks = story.trainer.callbacks if story.trainer is not None else []
        return next((c for c in callbacks if isinstance(c, Watch) and c.probe is not None), None)

    def find(self, story: Story) -> Iterator[Finding]:
        """By backpropagation from one output."""
        watch = self._watch(story)
        assert watch is not None
        assert watch.probe is not None
        with mode(watch.probe.model, False):
            leak = leak_of(watch.probe.model, watch.probe.batch[:-1], max(int(self.rows), 2))
        if leak is not None:
            yield Finding(
                self.id, ERROR, "examples that see each other", leak,
                "a reshape, transpose, softmax or mean along the wrong axis: the input of "
                "another example", [], None, {},
                INPUT, [Fix("x.reshape(len(x), -1), never reshape(-1, n); reductions over dim=-1",
                            code=True)],
            )  # fmt: skip
