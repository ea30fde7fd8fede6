"""explain(): a derivation on the user's own model, and how it is shown."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError, IndexRangeError, some_names
from ...nn import Module
from ...ops.core import is_number, quietly
from ...optim import Optimizer
from ...tensor.core import Tensor
from ...tensor.looking import no_trace
from ..elements import Place
from ..parts import Derivation, Line, Section
from ..record import as_data, in_json
from ..text import Text
from .entry import Entry
from .equations import Equations
from .faults import Fault
from .history import replayed
from .labels import harmless
from .layers import Layers
from .program import Program
from .proof import Checking, Proof
from .recording import Recording, record
from .terms import Loss
from .updates import Update

WIDTH = 100


class Explanation:
    """A derivation that can be printed, put on a page, or taken as data.

    value: the gradient, where one entry was asked for, else None.  holds: whether all proofs agree.
    str() is the text, in a notebook it is a page of its own; see `text`, `html`, `data`.
    """

    def __init__(self, derivation: Derivation, value: float | None, holds: bool) -> None:
        self.derivation = derivation
        self.value = value
        self.holds = holds

    def text(self, width: int | None = None, *, digits: int = 6, ascii_only: bool = False,
             plain: bool = False) -> str:  # fmt: skip
        """As text of a width (the terminal's); plain: one fact a line, for a screen reader."""
        width = max(width or min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH), 40)
        written = Text(self.derivation, width=width, digits=digits, ascii_only=ascii_only,
                       plain=plain)  # fmt: skip
        with quietly():
            return "\n".join(written.lines())

    def data(self, digits: int = 6, ascii_only: bool = False) -> dict[str, Any]:
        """For JSON: formulas as text, numbers with all their digits (nan and inf as texts)."""
        written = Text(self.derivation, digits=digits, ascii_only=ascii_only)
        with quietly():
            found = as_data(self.derivation, written)
        return {**found, "value": in_json(self.value), "holds": self.holds}

    def html(self, digits: int = 6) -> str:
        """As a piece of a page: formulas in MathML, each with its text; nothing is fetched."""
        from ..page import fragment

        with quietly():
            return fragment(self.derivation, digits)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.html()


def explain(
    loss: Any, entry: str | None = None, model: Any = None, *, optimizer: Optimizer | None = None,
    lr: float | None = None, clip_grad_norm: float | None = None, top: int = 3,
) -> Explanation:  # fmt: skip
    """Derives a gradient of the user's own model, in symbols and in numbers, and proves it.

    dL/dw = sum over paths of the product of the local derivatives on the path.

    loss: a Tensor, before its backward() (`loss.explain(entry)` is the same), or a function without
    arguments that gives it, such as `lambda: loss_fn(model(x), y)`: that is run once, symbolically,
    and what it does to tensors, layers, generators and optimizers is undone.
    entry: "fc1.weight[3,7]", one number; "fc1.weight" or "fc1", a parameter or a layer; None, all.
    model: what gives the names: a Module, or a dict of tensors or of Modules by name (the layers
    that were called give them otherwise).  optimizer: also its update of that number, and
    what its step promises.  lr: what a step of plain gradient descent of that length promises.
    clip_grad_norm: the limit of the norm of all gradients before the update.  top: so many
    examples, units and paths are listed; the rest is summed.

    Raises ArgumentError for a name and IndexRangeError for an index that is not there; TraceError
    where the function reads values (`.item()`); GradError where the history of a Tensor has been
    freed or overwritten, or ends at a compiled function.  Nothing is changed: no .grad, no
    parameter, no random number, no batch statistic.  PyTorch has no such function.

    >>> import chainrule
    >>> w = chainrule.tensor([0.5, -0.25], requires_grad=True)
    >>> x = chainrule.tensor([[1.0, 2.0]])
    >>> found = chainrule.explain(lambda: ((x @ w - 1.0) ** 2).mean(), "w[1]", {"w": w})
    >>> found.value, found.holds
    (-4.0, True)
    """
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ArgumentError("explain: top must be a whole number of at least 1", got=repr(top))
    for what, limit, low in (("lr", lr, -math.inf), ("clip_grad_norm", clip_grad_norm, 0.0)):
        if limit is not None and not (is_number(limit) and low < limit < math.inf):
            raise ArgumentError(f"explain: {what} must be a finite number", got=repr(limit))
    no_trace("explain", "explain outside of the compiled function")
    named, paths = names_of(model)
    recording = recorded(loss, named, paths)
    with quietly():
        return Explaining(recording, named, optimizer, lr, clip_grad_norm, top).explanation(entry)


def recorded(loss: Any, named: dict[str, Tensor], paths: dict[Any, str]) -> Recording:
    """The program of a loss."""
    if isinstance(loss, Tensor):
        return replayed(loss, named, paths)
    if callable(loss):
        return record(loss, named, paths)
    raise ArgumentTypeError(
        "explain: needs a loss, or a function that gives it", got=type(loss).__name__,
        fix="explain(lambda: loss_fn(model(x), y), ...)",
    )  # fmt: skip


def names_of(model: Any) -> tuple[dict[str, Tensor], dict[Any, str]]:
    """(tensors by name, names of layers) of what gives the names."""
    named: dict[str, Tensor] = {}
    paths: dict[Any, str] = {}
    if model is None:
        return named, paths
    if isinstance(model, Module):
        return dict(model.named_parameters()), {m: p for p, m in model.named_modules()}
    pairs: Iterable[Any] = model.items() if isinstance(model, Mapping) else model
    try:
        items = [(str(name), thing) for name, thing in pairs]
    except (TypeError, ValueError):
        items = [("", None)]
    for name, thing in items:
        if isinstance(thing, Tensor):
            named[name] = thing
        elif isinstance(thing, Module):
            named.update({f"{name}.{k}": p for k, p in thing.named_parameters()})
            paths.update({m: f"{name}.{p}" if p else name for p, m in thing.named_modules()})
        else:
            raise ArgumentTypeError(
                "explain: model gives the names of parameters",
                expected="a Module, or tensors or Modules by name", got=type(model).__name__,
            )  # fmt: skip
    return named, paths


class Explaining:
    """One program, and what is asked of it."""

    def __init__(
        self, recording: Recording, named: dict[str, Tensor], optimizer: Optimizer | None,
        lr: float | None, clip: float | None, top: int,
    ) -> None:  # fmt: skip
        self.program = Program(recording)
        self.named = named
        self.optimizer, self.lr, self.clip, self.top = optimizer, lr, clip, top
        self.checking = Checking(self.program)
        self.loss = Loss(self.program)

    def explanation(self, entry: str | None) -> Explanation:
        """What was asked for."""
        name, index = parsed(entry)
        if name is not None and self._is_parameter(name):
            if index is None and not self.program.leaf(name).shape:
                index = ()
            if index is not None:
                return self.one(name, self._checked(name, index))
            return self.layer([name], name)
        if name is None:
            return self.layer(list(self.program.leaves), "all parameters")
        name = name.partition(":")[0]  # a layer as it is shown: 0:Linear
        inside = [n for n in self.program.leaves if n.startswith(f"{name}.")]
        if not inside:
            raise self._unknown(name)
        if index is not None:
            at = ",".join("0" for _ in self.program.leaf(inside[0]).shape)
            raise ArgumentError(f"explain: {harmless(name)} is a layer, which has no entries",
                                expected=f"a parameter's, such as {inside[0]}[{at}]")  # fmt: skip
        return self.layer(inside, name)

    def _is_parameter(self, name: str) -> bool:
        if name in self.program.leaves:
            return True
        if name in self.named:
            wants = self.named[name].requires_grad
            raise ArgumentError(
                f"explain: the loss has no gradient for {harmless(name)!r}",
                expected="a parameter that takes part in the loss and requires a gradient",
                got="no path from it to the loss: its gradient is None" if wants
                else "it requires no gradient: it is frozen",
                fix="is it used in forward()? is it detached, or under no_grad()?" if wants
                else ".requires_grad_()",
            )  # fmt: skip
        return False

    def _unknown(self, name: str) -> ArgumentError:
        known = list(self.program.leaves)
        return ArgumentError(
            f"explain: there is no parameter or layer {harmless(name)!r} that the loss depends on",
            expected=some_names(known, 120),
        )

    def _checked(self, name: str, index: tuple[int, ...]) -> tuple[int, ...]:
        shape = self.program.leaf(name).shape
        fits = len(index) == len(shape)
        if not fits or any(not -n <= i < n for i, n in zip(index, shape, strict=True)):
            last = ",".join(str(n - 1) for n in shape)
            raise IndexRangeError(
                f"explain: {name} has no entry [{','.join(map(str, index))}]",
                expected=f"{len(shape)} indices from 0, up to [{last}]",
                got=f"shape {list(shape)}",
            )
        return tuple(i % n for i, n in zip(index, shape, strict=True))

    # ------------------------------------------------------------ the derivations

    def one(self, name: str, index: tuple[int, ...]) -> Explanation:
        """One entry."""
        entry = Entry(self.program, name, index, top=self.top)
        sections = list(entry.sections())
        fault = Fault(entry).section()
        if fault is not None:
            sections.insert(1, fault)
        holds = True
        if self.optimizer is not None:
            made, agrees = self.update(name, index, entry.label)
            sections += made
            holds = agrees
        elif self.lr is not None:
            sections.append(self.step(self._descent(self.lr), f"lr {self.lr:g}"))
        proof = self.checking.entry(name, index)
        sections.append(proof.section)
        return self._made(f"∂L/∂{entry.label}", sections, entry.value, holds and proof.holds)

    def layer(self, names: list[str], title: str) -> Explanation:
        """Whole parameters."""
        layers = Layers(self.program)
        sections = [layers.parameters(names)]
        equations = Equations(self.program, layers)
        if len(names) == len(self.program.leaves) and equations.holds():
            sections = [*equations.sections(), *sections]
        elif len(names) <= 4:
            sections += [layers.entries(n) for n in names]
        ledger = layers.ledger()
        if ledger is not None:
            sections.append(ledger)
        if self.optimizer is not None:
            first = next(iter(self.program.leaves))
            update = self._update(first, (0,) * self.program.leaf(first).ndim, first)
            sections.append(self.step(self._moved(update), type(self.optimizer).__name__))
        elif self.lr is not None:
            sections.append(self.step(self._descent(self.lr), f"lr {self.lr:g}"))
        proof: Proof = self.checking.parameters(names)
        sections.append(proof.section)
        return self._made(f"Gradients of {harmless(title)}", sections, None, proof.holds)

    def _made(self, title: str, sections: list[Section], value: float | None, holds: bool
              ) -> Explanation:  # fmt: skip
        loss = self.program.at(Place(self.program.loss, (0,) * self.program.loss.ndim))
        rows = self.loss.rows
        over = f" over {rows.shape[0]} examples" if rows is not None and rows.shape[0] > 1 else ""
        title = f"{title}   (L = {loss:.6g}{over})"
        d = Derivation(title, self.loss.conventions(), sections, {}, {}, self.program.at)
        d.label = self.program.labels
        return Explanation(d, value, holds)

    # ------------------------------------------------------------ steps

    def _update(self, name: str, index: tuple[int, ...], label: str) -> Update:
        assert self.optimizer is not None
        tensors = self.program.recording.tensors
        gradients = {tensors[n]: g for n, g in self.checking.backward.items()}
        tensor = tensors[name]
        if tensor not in gradients:
            raise ArgumentError(f"explain: {label} gets no gradient, so it is not updated")
        return Update(self.optimizer, tensor, index, label, gradients, self.clip)

    def update(self, name: str, index: tuple[int, ...], label: str) -> tuple[list[Section], bool]:
        """The optimizer's update of one entry, and what its whole step promises."""
        update = self._update(name, index, label)
        self.program.adopt(update.elements, update.names)
        audit = self.step(self._moved(update), type(self.optimizer).__name__)
        return [*update.sections(), audit], update.holds

    def _moved(self, update: Update) -> dict[str, Any]:
        tensors = self.program.recording.tensors
        return {n: update.moved[t].astype(np.float64) for n, t in tensors.items()
                if t in update.moved}  # fmt: skip

    def _descent(self, lr: float) -> dict[str, Any]:
        program = self.program
        return {n: program.array(leaf) - lr * program.gradient_of(n)
                for n, leaf in program.leaves.items()}  # fmt: skip

    def step(self, new: dict[str, Any], how: str) -> Section:
        """What a step promises by the gradients, and what the loss does."""
        program = self.program
        before = program.at(Place(program.loss, (0,) * program.loss.ndim))
        promised = sum(float((program.gradient_of(n) * (a - program.array(program.leaf(n)))).sum())
                       for n, a in new.items())  # fmt: skip
        after = program.loss_with(new)
        kept = after - before
        section = Section("STEP", how)
        section.lines.append(Line("L", None, None, after, f"it was {before:.6g}"))
        section.lines.append(Line("promised change of L", None, None, promised,
                                  "Σ gradient × change of the parameter"))  # fmt: skip
        share = f"the step kept {kept / promised:.0%} of its promise" if promised else ""
        section.lines.append(Line("measured change of L", None, None, kept, share))
        return section


def parsed(entry: str | None) -> tuple[str | None, tuple[int, ...] | None]:
    """(name, index) of "fc1.weight[3,7]"."""
    if entry is None:
        return None, None
    if not isinstance(entry, str):
        raise ArgumentTypeError(
            "explain: entry is a text", expected='such as "fc1.weight[3,7]" or "fc1"',
            got=type(entry).__name__,
        )  # fmt: skip
    found = re.fullmatch(r"(.+?)(?:\[\s*(-?\d+(?:\s*,\s*-?\d+)*)?\s*\])?", entry.strip(), re.S)
    if found is None:
        raise ArgumentError(
            "explain: entry is empty", expected='such as "fc1.weight[3,7]" or "fc1"'
        )
    name, numbers = found.groups()
    if "[" not in entry[len(name) :]:
        return name, None
    return name, tuple(int(n) for n in numbers.split(",")) if numbers else ()
