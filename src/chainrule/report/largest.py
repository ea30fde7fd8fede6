"""Where the heat map of the gradients leads: each layer's largest entry, worked for one row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ..derivation.models.explanation import Explaining, Explanation, names_of, recorded
from ..derivation.page import Page
from ..derivation.parts import Section
from ..derivation.writing import number
from ..errors import ChainruleError
from ..tensor.core import wrap
from ..train.evaluation import mode
from .subject import Subject

MOST_PARAMETERS, MOST_LAYERS, MOST_LINES = 500_000, 12, 36
"""Of a model, of a page, and of all paths that are spelled out line by line."""
LEFT_OUT = ("EXAMPLES", "THROUGH")


@dataclass(frozen=True)
class Largest:
    """A layer's largest gradient entry: its place on the page, its name, how it came about."""

    id: str
    layer: str
    title: str
    sections: Markup


def largest(s: Subject, layers: list[str]) -> tuple[list[str], list[Largest]] | str:
    """(what holds for all, the first layers that have weights), or why there are none."""
    if s.model is None or s.row is None:
        return s.no_model
    count = sum(p.numel() for p in s.model.parameters())
    if count > MOST_PARAMETERS:
        return f"the model has {count} parameters; up to {MOST_PARAMETERS} are worked here"
    x, y = wrap(np.asarray(s.row)[None]), wrap(np.asarray([s.label]))
    named, paths = names_of(s.model)
    try:
        with mode(s.model, False):
            recording = recorded(lambda: s.loss(s.model(x), y), named, paths)
        explaining = Explaining(recording, named, None, None, None, 1)
        known = [(n, own) for n in layers if (own := _weights(explaining, n))][:MOST_LAYERS]
        lines = min(MOST_LINES // max(len(known), 1), 8)
        found = [_made(f"largest-{i}", layer, _entry(explaining, own), lines)
                 for i, (layer, own) in enumerate(known, 1)]  # fmt: skip
    except ChainruleError as error:
        return error.problem
    if not found:
        return "no layer of the picture has weights that the loss depends on"
    return explaining.loss.conventions(), found


def _weights(e: Explaining, layer: str) -> list[str]:
    """The parameters of a layer that the loss depends on, without biases where there are others."""
    own = [n for n in e.program.leaves if n.rpartition(".")[0] == layer]
    return [n for n in own if e.program.leaf(n).ndim > 1] or own


def _entry(e: Explaining, names: list[str]) -> tuple[int, Explanation]:
    """How many entries these parameters have, and the largest of their gradients explained."""
    sizes = {n: np.nan_to_num(np.abs(e.program.gradient_of(n)), nan=np.inf) for n in names}
    name = max(names, key=lambda n: sizes[n].max(initial=0.0))
    at = np.unravel_index(sizes[name].argmax(), sizes[name].shape)
    return sum(g.size for g in sizes.values()), e.one(name, tuple(map(int, at)))


def _made(id: str, layer: str, entry: tuple[int, Explanation], lines: int) -> Largest:
    count, found = entry
    d = found.derivation
    written = Page(d)
    kept = [_cut(x, lines) for x in d.sections if x.title not in LEFT_OUT]
    value = "not computed" if found.value is None else number(found.value)
    return Largest(
        id, layer, f"{layer}: {d.title.split('   (')[0]} = {value}, the largest of {count}",
        Markup("\n".join(map(written.section, kept))),
    )  # fmt: skip


def _cut(section: Section, most: int) -> Section:
    """A long path without its middle."""
    left = len(section.lines) - most
    if left < 2:
        return section
    note = f"{section.note}; {left} lines in the middle are left out"
    first, last = section.lines[: most - most // 2], section.lines[-(most // 2) :]
    return Section(section.title, note, first + last)
