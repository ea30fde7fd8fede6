"""An optimizer's update of one number, by the optimizer's own definition, run on symbols.

gradient -> clip -> decay -> running means -> bias correction -> new value: `prepare` and `update`
are recorded with every setting, every slot and the count of steps as a name.  What comes out is
held to what `step()` does to a copy of the optimizer, in the parameter's own dtype.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ...graph import Node, trace
from ...ops.core import is_number
from ...optim import Optimizer
from ...optim.layout import prepare_state
from ...optim.optimizer import EXTRAS, PLACES
from ...tensor.core import Tensor
from ..differences import same
from ..elements import Elements, Place
from ..forms import Form, Forming
from ..parts import Line, Section
from .program import below
from .taking import stepped

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


class Update:
    """The update of one entry of a parameter.

    gradients: parameter -> its gradient in its own dtype, as backward() gives it.  clip: the limit
    of the norm of all gradients together, or None.
    """

    def __init__(
        self, optimizer: Optimizer, tensor: Tensor, at: tuple[int, ...], label: str,
        gradients: dict[Tensor, Any], clip: float | None = None,
    ) -> None:  # fmt: skip
        self.optimizer, self.tensor, self.at, self.label = optimizer, tensor, at, label
        self.clip = clip
        self.group = next((g for g in optimizer.param_groups
                           if any(p is tensor for p in g["params"])), None)  # fmt: skip
        if self.group is None:
            raise ArgumentError(
                f"explain: {type(optimizer).__name__} does not update {label}",
                expected="a parameter of one of its groups",
                fix="optimizer(model.parameters()) of the model that is explained",
            )
        self.moved, self.new = self._stepped(gradients)
        self.norm, self.scale = self._clipped(gradients)
        self.raw = float(gradients[tensor][at])
        self._record()

    # ------------------------------------------------------------ what step() does

    def _stepped(self, gradients: dict[Tensor, Any]) -> tuple[dict[Tensor, Any], float]:
        """What a step of a copy makes of every parameter, and of the entry."""
        _, pairs, _ = stepped(self.optimizer, gradients, self.clip)
        moved = {p: q._value for p, q in pairs}
        return moved, float(moved[self.tensor][self.at])

    def _clipped(self, gradients: dict[Tensor, Any]) -> tuple[float, float]:
        """(norm of all gradients, what clipping multiplies each by)."""
        held = {id(p) for g in self.optimizer.param_groups for p in g["params"]}
        total = np.sqrt(sum(float((np.asarray(g, np.float64) ** 2).sum())
                            for p, g in gradients.items() if id(p) in held))  # fmt: skip
        if self.clip is None:
            return float(total), 1.0
        return float(total), float(min(self.clip / (total + 1e-6), 1.0))

    # ------------------------------------------------------------ the rule on symbols

    def _record(self) -> None:
        """Runs `prepare` and `update` on nodes, and takes what they made as lines."""
        optimizer, group = self.optimizer, dict(self.group or {})
        self.inputs: dict[str, float] = {}
        self.slots = self._state(group)
        names: dict[str, Any] = {self.label: float(self.tensor._value[self.at]),
                                 "gradient": self.raw * self.scale}  # fmt: skip
        if optimizer.counts:
            names["t"] = float(int(self.optimizer.state.get(self.tensor, {}).get("step", 0)) + 1)
        names.update({slot: v for slot, v in self.slots.items() if v is not None})
        settings = self._settings(group)
        names.update(settings)
        self.kept: list[tuple[str, Any]] = []

        def rule(*nodes: Node) -> list[Any]:
            given = dict(zip(names, nodes, strict=True))
            shown = {k: self._shown(k, v, given) for k, v in group.items()}
            step: Any = given["t"] if optimizer.counts else 1
            h = optimizer.prepare(shown, step)
            slots = {slot: given.get(slot) for slot in self.slots}
            g = given["gradient"]
            if group.get("maximize"):
                g = -g
                self.kept.append(("uphill gradient", g))
            new = optimizer.update(given[self.label], g, slots, h)
            for key, value in h.items():
                if isinstance(value, Node) and value not in nodes:
                    self.kept.append((f"corrected {key}" if key in names else key, value))
            self.kept += [(f"{slot}′", v) for slot, v in slots.items() if isinstance(v, Node)]
            self.kept.append((f"{self.label}′", new))
            return [v for _, v in self.kept]

        arrays = [np.asarray(v, np.float64) for v in names.values()]
        graph = trace(rule, *arrays, names=list(names))
        self.elements = Elements(graph, arrays)
        self.names: dict[Node, str] = dict(zip(self.elements.graph.inputs, names, strict=True))
        self.lines: list[tuple[str, Node]] = []
        for (name, _), node in zip(self.kept, self.elements.graph.outputs, strict=True):
            if isinstance(node, Node) and node not in self.names:
                self.names[node] = name
                self.lines.append((name, node))
        self._name_shared()
        self.graph = graph

    def _name_shared(self) -> None:
        """A value that is used twice is a line of its own: the gradient with its decay."""
        used = Counter(id(x) for n in self.elements.graph.nodes for x in n.inputs)
        found: list[tuple[str, Node]] = []
        start = [n for n, name in self.names.items() if name in (self.label, "gradient")]
        for node in self.elements.graph.nodes:
            if node not in self.names and used[id(node)] > 1 and below(node) & set(start):
                name = "decayed gradient" if self._is_decay(node) else f"step {len(found) + 1}"
                self.names[node] = name
                found.append((name, node))
        order = {n: i for i, n in enumerate(self.elements.graph.nodes)}
        self.lines = sorted([*self.lines, *found], key=lambda line: order.get(line[1], -1))

    def _is_decay(self, node: Node) -> bool:
        return any(self.names.get(x) == "weight_decay" for n in node.inputs if isinstance(n, Node)
                   for x in (n, *n.inputs) if isinstance(x, Node))  # fmt: skip

    def _state(self, group: dict[str, Any]) -> dict[str, float | None]:
        """What is kept of the entry, as the next step finds it."""
        state = dict(self.optimizer.state.get(self.tensor, {}))
        slots = self.optimizer.slots_of(group)
        prepare_state(self.optimizer, group, self.tensor, state, slots)
        return {s: float(state[s]._value[self.at]) if s in state else None for s in slots}

    def _settings(self, group: dict[str, Any]) -> dict[str, float]:
        """The numbers of the group by name; a 0 is none: the rule leaves its term out."""
        found: dict[str, float] = {}
        for name, value in group.items():
            if name in PLACES | EXTRAS or name in self.optimizer.fixed:
                continue
            several = isinstance(value, (tuple, list))
            for i, v in enumerate(value if several else [value]):
                if is_number(v) and type(v) is not bool and (v or name == "lr"):
                    found[f"{name}[{i}]" if several else name] = float(v)
        return found

    def _shown(self, name: str, value: Any, given: dict[str, Node]) -> Any:
        """A setting as the rule is given it."""
        if isinstance(value, (tuple, list)):
            return [given.get(f"{name}[{i}]", v) for i, v in enumerate(value)]
        return given.get(name, value)

    # ------------------------------------------------------------ what is said

    def _inside(self, place: Place) -> Any:
        return None if place.node in self.names else self.elements.of(place)

    def at_place(self, place: Place) -> float:
        """The number at a place."""
        return float(self.elements.at(place))

    @property
    def value(self) -> float:
        """The new value that the lines come to, in float64."""
        return self.at_place(Place(self.lines[-1][1], ())) if self.lines else float("nan")

    def sections(self) -> list[Section]:
        """What goes in, and the lines that come of it."""
        agrees = "✔" if self.holds else "✖"
        given = Section("UPDATE", f"{type(self.optimizer).__name__}; step() of a copy gives "
                        f"{self.new:.9g} in {self.tensor.dtype}, relative difference "
                        f"{self._off():.1e} {agrees}")  # fmt: skip
        given.lines.append(Line("gradient", None, None, self.raw, "backward() of your run"))
        if self.clip is not None:
            note = f"|all gradients| = {self.norm:.6g}, limit {self.clip:g}: × {self.scale:.6g}"
            given.lines.append(Line("clipped gradient", None, None, self.raw * self.scale, note))
        for node in self.elements.graph.inputs:
            if self.names[node] != "gradient":
                value = self.at_place(Place(node, ()))
                given.lines.append(Line(self.names[node], None, None, value))
        rule = Section("ITS RULE", "update() of the optimizer, on symbols")
        forming = Forming(self._inside, self.elements.value)
        for name, node in self.lines:
            place = Place(node, ())
            form: Form = forming.form(self.elements.of(place))
            rule.lines.append(Line(name, form, form, self.at_place(place)))
        return [given, rule]

    @property
    def holds(self) -> bool:
        """Whether step() does the same, as far as the dtype goes."""
        moved = abs(self.value) + abs(float(self.tensor._value[self.at]))
        allowed = TOLERANCE.get(str(self.tensor.dtype), 1e-5) * moved + self._rounding()
        return same(self.value, self.new, allowed)

    def _rounding(self) -> float:
        """How far the new value moves if every number on the way to it is off by one rounding.

        That is far where what nearly cancels is divided by: the variance of a centered RMSprop.
        """
        if not self.lines:
            return 0.0
        eps = float(np.finfo(self.tensor._value.dtype).eps)
        steps = (*self.elements.graph.inputs, *self.elements.graph.nodes)
        found = [abs(self.elements.value_if(n, 1 + eps, self.lines[-1][1]) - self.value)
                 for n in steps]  # fmt: skip
        return float(sum(v for v in found if np.isfinite(v)))

    def _off(self) -> float:
        return abs(self.value - self.new) / max(abs(self.value), abs(self.new), 1e-300)
