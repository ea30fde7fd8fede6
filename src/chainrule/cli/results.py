"""How a training went: accuracy on held-out rows, the confusion matrix, and what to type next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import ArgumentError
from ..markup import counted
from ..playground.network import small
from ..train import EarlyStopping, Run, Trainer
from ..train.metrics import confusion_matrix
from .options import in_folder
from .recipe import Parts, Recipe, load
from .terminal import Line, Terminal, as_typed, words
from .view.draw import way
from .view.facts import Facts

PAIRS = 5
"""How many pairs of classes that are taken for each other are listed."""


ENDS = {"converged": "convergence"}
"""How it is said what a fit was stopped by, where the word itself does not do."""


class Counted(Protocol):
    """Rows counted by true and by predicted class."""

    @property
    def matrix(self) -> list[list[int]]: ...
    @property
    def names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Outcome:
    """What there is to say after a training."""

    recipe: Recipe
    run: str | None
    path: str | None
    accuracy: float
    loss: float
    matrix: list[list[int]]  # [true][predicted]
    names: tuple[str, ...]
    best_val: tuple[float, int] | None
    kept_epoch: int | None
    epochs: int
    steps: int
    stopped: str
    seconds: float
    overhead: float | None
    way: str
    compiled: bool
    compile_seconds: float
    compile_cached: bool
    steps_per_second: float
    threads: int | None
    playable: bool  # small enough for the playground

    @property
    def right(self) -> int:
        """Rows that were classified right."""
        return sum(self.matrix[i][i] for i in range(len(self.names)))

    @property
    def rows(self) -> int:
        """Rows that were held out."""
        return sum(map(sum, self.matrix))

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        held = asdict(self)
        best = held.pop("best_val")
        held.pop("playable")  # only chooses what is said to come next
        return {
            **held,
            "recipe": self.recipe.to_config(),
            "best_val_accuracy": best and best[0],
            "best_val_epoch": best and best[1],
            "right": self.right,
            "rows": self.rows,
        }


def outcome_of(
    r: Recipe, parts: Parts, run: Run | None, trainer: Trainer, seconds: float, facts: Facts
) -> Outcome:
    """Evaluates the held-out rows, and notes the result in the run."""
    x, y = parts.test.tensors
    names = load(r.data).names
    scores = trainer.evaluate(parts.test)
    predicted, true = np.asarray(trainer.predict(x)).argmax(1), np.asarray(y)
    matrix = confusion_matrix(predicted, true, num_classes=len(names))
    accuracy = float((predicted == true).mean())
    if run is not None:
        run.write_result(
            test_accuracy=accuracy, test_loss=scores["loss"], confusion=matrix.tolist()
        )
    return Outcome(
        recipe=r,
        run=None if run is None else run.name,
        path=None if run is None else str(run.path),
        accuracy=accuracy,
        loss=scores["loss"],
        matrix=matrix.tolist(),
        names=names,
        best_val=facts.val_acc.best(),
        kept_epoch=kept_epoch(trainer),
        epochs=trainer.epoch,
        steps=trainer.step,
        stopped=str(trainer.history.stopped),
        seconds=seconds,
        overhead=facts.overhead,
        way=way(facts),
        compiled=trainer.compile,
        compile_seconds=trainer.compile_seconds,
        compile_cached=trainer.compile_cached,
        steps_per_second=trainer.steps_per_second,
        threads=trainer.threads,
        playable=playable(parts),
    )


def playable(parts: Parts) -> bool:
    """Whether the playground can step through the model."""
    try:
        small(parts.model, parts.loss, skip=[parts.model.get_submodule("scale")])
    except ArgumentError:
        return False
    return True


def kept_epoch(trainer: Trainer) -> int | None:
    """The epoch whose weights early stopping put back; None where the last are kept."""
    stoppers = [c for c in trainer.callbacks if isinstance(c, EarlyStopping)]
    return stoppers[0].best_epoch if stoppers and stoppers[0].weights is not None else None


def results(o: Outcome, t: Terminal, page: Path | None = None) -> list[Line]:
    """The lines after a training.  page: its report."""
    blank: list[Line] = [] if t.plain else [[]]
    lines = [*blank, *headline(o, t), *blank]
    lines += matrix_in_words(o, t.width) if t.plain else matrix_lines(o, t.width)
    lines += [*blank, *confused(o, t), *blank]
    return lines + next_steps(o, t, page)


def headline(o: Outcome, t: Terminal) -> list[Line]:
    """Held-out accuracy, then how it came about."""
    why = "" if o.stopped in ("epochs", "steps") else f", ended by {ENDS.get(o.stopped, o.stopped)}"
    ended = f"{counted(o.epochs, 'epoch')}, {counted(o.steps, 'step')} in {o.seconds:.1f} s{why}."
    ended += f" Steps: {o.way}."
    if o.kept_epoch is not None:
        ended += f" Kept: the weights of epoch {o.kept_epoch}, with the lowest validation loss."
    if o.best_val is not None:
        ended += f" Best validation accuracy {o.best_val[0] * 100:.2f} % (epoch {o.best_val[1]})."
    said = f"held-out accuracy {o.accuracy * 100:.2f} % ({o.right} of {o.rows} right)"
    return [*words(said, t.width, "strong"), *words(ended, t.width)]


def matrix_lines(o: Counted, width: int) -> list[Line]:
    """Counts, rows true and columns predicted, and the share of each row that is right.

    In words where the terminal is too narrow for that.
    """
    size = len(o.names)
    cell = max(len(str(max(map(max, o.matrix)))), *map(len, o.names)) + 1
    first = max(4, *map(len, o.names))
    if first + cell * size + 8 > width:
        first = max(map(len, o.names))
    room = width - first - 8
    if room < cell * size:
        return matrix_in_words(o, width)
    cell = min(max(cell, room // size), cell + 2)
    title = "true  predicted" if first >= 4 else "predicted"
    lines: list[Line] = [[(title.rjust(first) if first < 4 else title, "faint")]]
    head = " " * first + "".join(name.rjust(cell) for name in o.names)
    lines.append([(f"{head}    right"[:width], "faint")])
    for i, row in enumerate(o.matrix):
        line: Line = [(o.names[i].rjust(first), "strong")]
        for j, n in enumerate(row):
            style = "ok" if i == j else "bad" if n else "faint"
            line.append(((str(n) if n else ".").rjust(cell), style))
        line.append((f"{_share(o, i):>8}", ""))
        lines.append(line)
    return lines


def _share(o: Counted, i: int) -> str:
    """The share of a class's rows that is right, in per cent."""
    total = sum(o.matrix[i])
    return f"{100 * o.matrix[i][i] / total:.1f} %" if total else "no rows"


def matrix_in_words(o: Counted, width: int) -> list[Line]:
    """One class a sentence."""
    said = (
        f"Class {name}: {o.matrix[i][i]} of {sum(o.matrix[i])} right, "
        + _share(o, i).replace("%", "per cent")
        + "."
        for i, name in enumerate(o.names)
    )
    return [line for text in said for line in words(text, width)]


def confused(o: Counted, t: Terminal) -> list[Line]:
    """The pairs that are taken for each other most often."""
    size = len(o.names)
    pairs = [(o.matrix[i][j], i, j) for i in range(size) for j in range(size) if i != j]
    worst = sorted((p for p in pairs if p[0]), key=lambda p: (-p[0], p[1], p[2]))[:PAIRS]
    if not worst:
        return [[("no row was taken for another class", "")]]
    lines: list[Line] = [[("most confused", "faint")]]
    for n, i, j in worst:
        share = 100.0 * n / sum(o.matrix[i])
        text = f"  {o.names[i]} taken for {o.names[j]}: {n} of {sum(o.matrix[i])} ({share:.1f} %)"
        lines += [[(text, "")]] if len(text) <= t.width else words(text, t.width, indent="  ")
    return lines


def next_steps(o: Outcome, t: Terminal, page: Path | None) -> list[Line]:
    """Where the run lies, and what to type."""
    if o.run is None or o.path is None:
        return [[("nothing was written (--no-save)", "")]]
    more = in_folder(str(Path(o.path).parent))
    lines: list[Line] = [[(f"run   {o.path}", "strong")]]
    if page is not None:
        lines.append([(f"page  {page}", "strong")])
    last = f"playground {o.run}" if o.playable else f"predict {o.run} -o out.csv"
    does = (f"explain {o.run}", f"diagnose {o.run}", f"report {o.run}", last)
    commands = [as_typed(f"chainrule {text}{more}") for text in does]
    if max(map(len, commands)) + 6 <= t.width:
        return [*lines, *([(f"next  {text}", "")] for text in commands)]
    # a command that is to be copied stays whole
    return [*lines, [("next", "")], *([(text, "")] for text in commands)]
