"""What the keys of the live view answer: findings, a weight explained, the report of now.

None of it changes the training: models are run in evaluation mode, random numbers are drawn from
a generator of their own, and of the run only what is shown is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..derivation.text import Text
from ..diagnosis import Story, judge, rules_with
from ..tensor.random import Generator, drawing_from
from ..train import Trainer
from ..train.evaluation import mode
from ..train.recorder import Recorder
from ..train.watch.layers import layers_of, weights_of
from .diagnose import findings_lines
from .explained import of_model
from .recipe import Recipe, load
from .report import write_report
from .terminal import ASCII, Line, Terminal, as_typed, words
from .trying import typing_with
from .view.facts import Facts
from .view.log import worst

TOP = 1
"""So many examples, units and paths of a weight are listed: the view has to be found again."""


class Answers:
    """Lines for each key, about a training that goes on.

    terminal: for which they are made.
    """

    def __init__(self, recipe: Recipe, facts: Facts, terminal: Terminal) -> None:
        self.recipe, self.facts, self.terminal = recipe, facts, terminal

    def by_key(self) -> Mapping[str, Callable[[Trainer], list[Line]]]:
        """The answers, by the key that asks for them."""
        return {"e": self.weight, "d": self.findings, "r": self.report}

    def findings(self, trainer: Trainer) -> list[Line]:
        """What the rules find by now; those that run the model are for `chainrule diagnose`."""
        story = Story.of(trainer)
        story.choices = self.recipe.to_config()
        found = judge(story, [rule for rule in rules_with() if rule.asks != "trainer"])
        title = f"step {trainer.step}, epoch {self.facts.epoch}"
        return [[], *findings_lines(title, found, typing_with(self.recipe), self.terminal)]

    def weight(self, trainer: Trainer) -> list[Line]:
        """The largest weight of the layer that stands out most, explained."""
        name, why = self._layer(trainer)
        module = next(m for n, m in layers_of(trainer.model) if (n or type(m).__name__) == name)
        parameter, values = weights_of(module)[0]
        place = np.unravel_index(np.abs(np.asarray(values.detach())).argmax(), values.shape)
        entry = f"{parameter}[{','.join(map(str, place))}]"
        entry = entry if name == type(trainer.model).__name__ else f"{name}.{entry}"
        with mode(trainer.model, False), drawing_from(Generator().manual_seed(0)):
            found = of_model(
                trainer.model, self.recipe, load(self.recipe.data), entry, top=TOP,
                title=f"step {trainer.step}",
            )  # fmt: skip
        t = self.terminal
        text = Text(found.derivation, width=max(t.width, 40), digits=4,
                    ascii_only=t.signs is ASCII, plain=False)  # fmt: skip
        said = words(f"{entry}: the largest weight of {why}", t.width, "strong")
        return [[], *said, *([(line, "")] for line in text.lines())]

    def _layer(self, trainer: Trainer) -> tuple[str, str]:
        layer = worst(self.facts)
        if layer is None:
            name, module = layers_of(trainer.model)[0]
            name = name or type(module).__name__
            return name, f"{name}, the first layer: no look inside is finished"
        return layer.name, (
            f"{layer.name}, whose update:weight ratio {layer.ratio:.1e} is the farthest from 1e-3"
        )

    def report(self, trainer: Trainer) -> list[Line]:
        """Writes the weights of now and the report."""
        run = trainer.run
        if run is None:
            return [[("no report: --no-save keeps no run to write it into", "")]]
        with mode(trainer.model, False), drawing_from(Generator().manual_seed(0)):
            Recorder(trainer, run).save_model()
            path = write_report(run)
        return [[(as_typed(f"page  {path}, as of step {trainer.step}"), "strong")]]
