"""Whole layers: their gradients by shape and size, and how the error grows from one to the next.

|error of a layer| / |error of the next| = weights x slope: what the next layer's weights make of
the error that is sent back, and what lies between the two (activation, norm, dropout) makes of it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...graph import Node
from ..derive import FIRST, MOST_UNITS
from ..elements import Place
from ..parts import Line, Section
from .program import Program

TERMS = 3
"""So many terms of a sum are written where several entries are shown."""


class Station(NamedTuple):
    """A layer with weights: its name, its result, and the line that goes into it."""

    name: str
    module: Any
    result: Node
    input: Node | None


class Gain(NamedTuple):
    """How the error changes between two layers; None where no error arrives."""

    here: str
    behind: str
    gain: float | None
    weights: float | None
    slope: float | None
    between: list[str]


class Layers:
    """The layers of a program that have weights, in the order in which they run."""

    def __init__(self, program: Program) -> None:
        self.program = program
        place = {node: i for i, node in enumerate(program.forward)}
        outputs = sorted(program.labels.outputs.items(), key=lambda item: place[item[0]])
        self.order = [node for node, _ in outputs]
        self.stations = [
            Station(program.labels.of(node), module, node, self._input(module))
            for node, module in outputs
            if node in program.gradient and self._has_weights(module)
        ]

    def _has_weights(self, module: Any) -> bool:
        return any(p.ndim > 1 for _, p in module.named_parameters(recurse=False))

    def _input(self, module: Any) -> Node | None:
        """The first value from another layer that a layer computes with."""
        program, recording = self.program, self.program.recording
        own = set(program.leaves.values())
        for line in program.lines:
            if recording.modules.get(line) is module:
                for x in line.inputs:
                    node = program.now.get(x) if isinstance(x, Node) else None
                    other = recording.modules.get(x) is not module
                    if node is not None and other and node not in own and node in program.gradient:
                        return node
        return None

    # ------------------------------------------------------------ the ledger

    def gains(self) -> list[Gain]:
        """From layer to layer, the first one first."""
        found = []
        for here, behind in zip(self.stations, self.stations[1:], strict=False):
            small, large = self.norm(here.result), self.norm(behind.result)
            sent = None if behind.input is None else self.norm(behind.input)
            between = self._between(here.result, behind.result)
            if not (large and sent and math.isfinite(small) and math.isfinite(large)):
                found.append(Gain(here.name, behind.name, None, None, None, between))
            else:
                found.append(Gain(here.name, behind.name, small / large, sent / large,
                                  small / sent, between))  # fmt: skip
        return found

    def _between(self, first: Node, last: Node) -> list[str]:
        places = self.order.index(first), self.order.index(last)
        return [self.program.labels.of(n) for n in self.order[places[0] + 1 : places[1]]]

    def norm(self, node: Node) -> float:
        """|dL / d line|."""
        return float(np.linalg.norm(self.program.array(self.program.gradient[node])))

    def ledger(self) -> Section | None:
        """The gains, the whole way, and which multiplier it is due to."""
        if len(self.stations) < 2:
            return None
        section = Section(
            "GAIN LEDGER", "|error of a layer| / |error of the next| = weights × slope"
        )
        gains = self.gains()
        for g in gains:
            name = f"{g.here} / {g.behind}"
            if g.gain is None:
                section.lines.append(Line(name, note="no finite error arrives"))
                continue
            through = f" ({', '.join(g.between)})" if g.between else ""
            section.lines.append(
                Line(
                    name,
                    None,
                    None,
                    g.gain,
                    f"weights {g.weights:.4g} × slope {g.slope:.4g}{through}",
                )
            )
        whole = self.whole(gains)
        if len(gains) > 1 and whole is not None:
            section.lines.append(whole)
        last = self.stations[-1]
        section.lines.append(Line(f"|∂L/∂{last.name}|", None, None, self.norm(last.result),
                                  "where the ledger begins: the loss end"))  # fmt: skip
        return section

    def whole(self, gains: list[Gain]) -> Line | None:
        """The way from the last layer to the first, with the multiplier that is to blame."""
        known = [g for g in gains if g.gain]
        if len(known) < len(gains):
            return None
        weights = math.prod(g.weights or 0.0 for g in gains)
        slope = math.prod(g.slope or 0.0 for g in gains)
        gain = weights * slope
        note = f"weights {weights:.4g} × slope {slope:.4g}"
        if not 0.1 < gain < 10 and gain:
            small = "slope" if (slope < weights) == (gain < 1) else "weights"
            did = "shrinks" if gain < 1 else "grows"
            note += f": the error {did} {1 / gain if gain < 1 else gain:.3g} times; the {small} "
            note += f"{'is' if small == 'slope' else 'are'} to blame"
        return Line(f"{gains[0].here} / {gains[-1].behind}, the whole way", None, None, gain, note)

    # ------------------------------------------------------------ gradients

    def parameters(self, names: list[str]) -> Section:
        """Every parameter's gradient: its shape, its size, its largest entry."""
        section = Section("GRADIENTS", "the norm of each parameter's")
        for name in names:
            g = self.program.gradient_of(name)
            label = f"∂L/∂{self.program.labels.of(self.program.leaf(name))}"
            section.lines.append(Line(label, None, None, norm_of(g), described(g)))
        return section

    def entries(self, name: str) -> Section:
        """The entries of a parameter's gradient with the rule that gives each: the largest, where
        there are many."""
        program = self.program
        leaf = program.leaf(name)
        g = program.gradient_of(name)
        line = program.gradient.get(leaf)
        section = Section(f"∂L/∂{program.labels.of(leaf)}", described(g))
        if line is None:
            return section
        places = [Place(line, at) for at in np.ndindex(g.shape)] if g.size <= MOST_UNITS else [
            Place(line, tuple(map(int, np.unravel_index(i, g.shape)))) for i in largest(g)
        ]  # fmt: skip
        for place in places:
            form = program.shortened(place, FIRST, TERMS)
            section.lines.append(Line(place, form, form, program.at(place)))
        if g.size > MOST_UNITS:
            section.lines.append(Line(f"and {g.size - FIRST} more", None, None, norm_of(g),
                                      "norm of all"))  # fmt: skip
        return section


def largest(a: Any, count: int = FIRST) -> list[int]:
    """The places of the largest entries, the first of equal ones; nan counts as largest."""
    sizes = np.where(np.isnan(a), np.inf, np.abs(a)).reshape(-1)
    if sizes.size > 4 * count:
        some = np.argpartition(-sizes, count)[: 2 * count]
        some = np.sort(some)
        return [int(i) for i in some[np.argsort(-sizes[some], kind="stable")][:count]]
    return [int(i) for i in np.argsort(-sizes, kind="stable")[:count]]


def norm_of(a: Any) -> float:
    """The root of the sum of squares, without overflow."""
    top = float(np.abs(a).max(initial=0.0))
    if not top or not math.isfinite(top):
        return top
    return top * float(np.linalg.norm(a / top))


def described(g: Any) -> str:
    """Shape, largest entry, and what is 0 or no number."""
    said = [f"shape {list(g.shape)}"]
    if not g.size:
        return said[0]
    i = largest(g, 1)[0]
    at = ",".join(str(int(k)) for k in np.unravel_index(i, g.shape))
    said.append(f"largest {f'[{at}] = ' if at else ''}{g.reshape(-1)[i]:.4g}")
    zeros, bad = int((g == 0).sum()), int((~np.isfinite(g)).sum())
    if zeros:
        said.append(f"{zeros} of {g.size} {'is' if zeros == 1 else 'are'} exactly 0")
    if bad:
        said.append(f"{bad} of {g.size} {'is' if bad == 1 else 'are'} nan or infinite")
    return ", ".join(said)
