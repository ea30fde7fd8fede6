"""A recorded program with everything that a call needs: where inputs come from, what is checked
before, and what is done to the user's tensors after."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, ChainruleError, Site, TraceError, describe_site
from ..grad import Leaf, clock
from ..graph.node import Graph, Node
from ..ops.core import changes
from ..runtime.forks import renew_in_children
from ..tensor.core import Tensor, wrap
from ..tensor.placing import Check, Demand, GradOf
from ..tensor.tracing import Trace
from .arguments import Call
from .execute import RAN, Executable, build


class Effect(NamedTuple):
    """What is done to a tensor, or an argument, after a call: its gradient is set, dropped, or
    marked as used."""

    tensor: Tensor | None
    argument: int | None
    kind: str
    output: int
    site: Site | None


class Run:
    """One run: the call, and what came out."""

    __slots__ = ("call", "outputs")

    def __init__(self, call: Call, outputs: list[Any]) -> None:
        self.call = call
        self.outputs = outputs


class Program:
    """One recording of a function.

    returned: how many of its outputs the function returns; they come first.  standing: names of the
    tensors from outside that it returns as they are.
    """

    returned: int
    standing: list[str]

    def __init__(
        self, trace: Trace, graph: Graph, call: Call, result: Callable[[Run], Any],
        effects: list[Effect], written: list[Tensor | None],
    ) -> None:  # fmt: skip
        self.key = call.key
        self.objects = call.objects  # kept alive: keys hold their addresses
        self.result = result
        self.effects = effects
        self.parts = list(trace.parts.values())
        self.checks = trace.checks
        self.demands = trace.demands
        self.renew()
        renew_in_children(self)
        self.pinned = [(trace.arguments[t], t) for t in trace.pinned]
        self.grads = [(t if t not in trace.arguments else None, trace.arguments.get(t), there)
                      for t, there in trace.grads_read.items()]  # fmt: skip
        self._place_inputs(trace, graph)
        own = [t for t in written if t is not None and t not in trace.arguments]
        self.cells = [(t._shared_cell(), t._cell.site) for t in own]  # type: ignore[union-attr]
        for t in own:
            _check_writeable(t._value, trace.names.get(t, "a tensor"))
        self.written = set(own)
        self.written_arguments = [trace.arguments[t] for t in written if t in trace.arguments]
        self.first_undo = trace.undo
        self.names = {t: n for t, n in trace.names.items() if t not in trace.arguments}
        references = [t for t, _ in self.references]
        self.touched = dict.fromkeys(t for t in (*references, *trace.held)
                                     if t not in trace.arguments)  # fmt: skip

    def build(self) -> None:
        """Makes it ready to run; one that is only looked at needs no machine code."""
        self.executable: Executable = build(self.graph)

    def _place_inputs(self, trace: Trace, graph: Graph) -> None:
        """Orders the inputs by where they come from, so that a call collects them quickly."""
        by_part: dict[int, list[Node]] = {id(p): p.inputs for p in self.parts}
        self.references: list[tuple[Tensor, Any]] = []
        self.from_grads: list[GradOf] = []
        self.from_arguments: list[int] = []
        self.from_numbers: list[tuple[int, Any]] = []
        groups: list[list[Node]] = [[], [], [], [], []]
        fixed: list[Any] = []
        constants: list[Any] = []
        for node in graph.inputs:
            source = trace.inputs[node].source
            if isinstance(source, Tensor):
                groups[0].append(node)
                fixed.append(source._value)
                self.references.append((source, source._value))
            elif isinstance(source, np.ndarray):
                groups[1].append(node)
                constants.append(source)
            elif isinstance(source, GradOf):
                groups[2].append(node)
                self.from_grads.append(source)
            elif isinstance(source, int):
                groups[3].append(node)
                self.from_arguments.append(source)
            elif id(source) not in by_part:
                groups[4].append(node)
                self.from_numbers.append((source.index, np.zeros((), node.dtype)))
        self.fixed = fixed + constants
        supplied: list[Node] = []
        used = set(graph.inputs)
        self.picks: list[tuple[Any, list[int] | None]] = []
        for part in self.parts:
            wanted = [i for i, n in enumerate(part.inputs) if n in used]
            if wanted:
                everything = len(wanted) == len(part.inputs)
                self.picks.append((part, None if everything else wanted))
                supplied += [part.inputs[i] for i in wanted]
        first, second, grads, arguments, numbers = groups
        order = [*first, *second, *supplied, *grads, *arguments, *numbers]
        self.graph = Graph(order, graph.nodes, graph.outputs, graph.updates)
        self.number_of = {node: i for i, node in enumerate(order)}
        self.sources = {node: trace.inputs[node].source for node in order}
        # what is checked may be used by nothing else
        self.unused = {c.node: trace.inputs[c.node].source for c in self.checks
                       if c.node not in self.number_of}  # fmt: skip

    def renew(self) -> None:
        """Nobody runs it."""
        self.lock = threading.Lock()

    def seal(self) -> None:
        """Notes which tensors require a gradient and have hooks, once all is as it was before."""
        self.kinds = [(t, *_kind(t)) for t in self.touched]
        self.seen = changes.now

    # ------------------------------------------------------------ before a call

    def changed(self, call: Call) -> str | None:
        """Why this program does not fit any more, or None."""
        for i, (t, array) in enumerate(self.references):
            if t._value is not array:
                reason = self._exchange(i, t, array)
                if reason is not None:
                    return reason
        if self.seen != changes.now:
            now = changes.now
            for t, leaf, hooks in self.kinds:
                if _kind(t) != (leaf, hooks):
                    return self._kind_changed(t, leaf)
            self.seen = now
        for index, t in self.pinned:
            if call.tensors[index] is not t:
                return f"argument {index} is another tensor, and the function reaches it elsewhere"
        for own, argument, there in self.grads:
            holder: Any = own if argument is None else call.tensors[argument]
            if (holder._grad is not None) is not there:
                return "a gradient is there that was not" if not there else "a gradient is missing"
        for part in self.parts:
            reason = part.changed()
            if reason is not None:
                for prepared in self.parts:
                    prepared.failed()
                return str(reason)
        return None

    def _kind_changed(self, t: Tensor, leaf: bool) -> str:
        name = self.names.get(t, f"a tensor of shape {t.shape}")
        if _kind(t)[0] is leaf:
            return f"{name} has other hooks"
        return f"{name} requires {'no ' if leaf else 'a '}gradient now"

    def _exchange(self, i: int, t: Tensor, array: Any) -> str | None:
        new = t._value
        if isinstance(new, Node):
            return "a tensor is being recorded"
        if new.shape != array.shape or new.dtype != array.dtype:
            return (
                f"{self.graph.inputs[i].name} is {new.dtype} {new.shape}, and was "
                f"{array.dtype} {array.shape}"
            )
        if t in self.written:
            _check_writeable(new, self.graph.inputs[i].name)
        self.references[i] = (t, new)
        self.fixed[i] = new
        return None

    # ------------------------------------------------------------ a call

    def run(self, call: Call) -> Any:
        """One run of the program; after an error nothing has changed.

        A signal's handler may raise anywhere.  Where the program has run by then, what follows
        from it is done before the exception goes on, from its beginning if it was under way: all
        of it may be done twice.
        """
        ran: list[Any] = []
        with self.lock:
            try:
                arrays = self._collect(call)
                for check in self.checks:
                    self._check(check, arrays, call)
                run = self._settle(call, self.executable.run(arrays, ran))
            except BaseException:
                if len(ran) < RAN or self._refused(ran[0]):
                    for part in self.parts:
                        part.failed()
                else:
                    self._settle(call, ran[0])
                raise
        return self.result(run)

    def _settle(self, call: Call, outputs: list[Any], times: int = 1) -> Run:
        """What follows from runs that have been made."""
        if self.demands:
            self._examine(outputs)
        if self.first_undo:
            self.first_undo.clear()  # what the recording has made stays
        for part in self.parts:
            part.done(times)
        run = Run(call, outputs)
        self._after(run)
        return run

    def _refused(self, outputs: list[Any]) -> ChainruleError | None:
        """Why a run has changed nothing, or None."""
        try:
            self._examine(outputs)
        except ChainruleError as error:
            return error
        return None

    def _collect(self, call: Call) -> list[Any]:
        arrays = list(self.fixed)
        for part, wanted in self.picks:
            found = part.arrays()
            arrays += found if wanted is None else [found[i] for i in wanted]
        for source in self.from_grads:
            arrays.append(source.tensor._grad._value)  # type: ignore[union-attr]
        tensors = call.tensors
        for i in self.from_arguments:
            x = tensors[i]
            arrays.append(x if type(x) is np.ndarray else x._value)
        for i in self.written_arguments:
            x = tensors[i]
            _check_writeable(x if type(x) is np.ndarray else x._value, f"argument {i}")
        for i, array in self.from_numbers:
            try:
                array[...] = call.numbers[i]
            except OverflowError:
                raise _too_large(call.numbers[i]) from None
            arrays.append(array)
        return arrays

    def _check(self, check: Check, arrays: list[Any], call: Call) -> None:
        number = self.number_of.get(check.node)
        if number is None:
            array = self._source_array(self.unused[check.node], call)
        else:
            array = arrays[number]
        self._check_array(check, array)

    def _check_array(self, check: Check, array: Any) -> None:
        for op, params in check.path:
            array = op.forward(array, **params)
        try:
            check.check(array)
        except ChainruleError as error:
            raise _located(error, check) from None

    def _source_array(self, source: Any, call: Call) -> Any:
        if isinstance(source, Tensor):
            return source._value
        if isinstance(source, GradOf):
            assert source.tensor._grad is not None
            return source.tensor._grad._value
        if isinstance(source, int):
            x = call.tensors[source]
            return x if type(x) is np.ndarray else x._value
        if isinstance(source, np.ndarray):
            return source
        return np.asarray(call.numbers[source.index])

    def _examine(self, outputs: list[Any]) -> None:
        """Raises where a condition on computed values failed; the updates were not made then."""
        place = len(outputs) - sum(1 if d.value is None else 2 for d in self.demands)
        for demand in self.demands:
            holds = bool(outputs[place])
            value = None if demand.value is None else outputs[place + 1]
            place += 1 if value is None else 2
            if not holds:
                raise self._refusal(demand, value)

    def _refusal(self, demand: Demand, value: Any) -> ChainruleError:
        if value is not None:
            try:
                demand.check(value)
            except ChainruleError as error:
                return _located(error, demand)
        return _located(
            TraceError(
                "a value that the compiled function computed is not admitted where it is used",
                expected="what the uncompiled function accepts there; nothing was updated",
                fix="call the function without chainrule.compile on these arguments to see more",
            ),
            demand,
        )

    # ------------------------------------------------------------ after a call

    def _after(self, run: Run) -> None:
        if self.cells:
            now = next(clock)
            for cell, site in self.cells:
                cell.changed, cell.site = now, site
        for index in self.written_arguments:
            x = run.call.tensors[index]
            if isinstance(x, Tensor):
                x._note_write()
        for tensor, argument, kind, output, site in self.effects:
            t: Any = tensor if argument is None else run.call.tensors[argument]
            if kind == "used":
                t._grad = None
                t._used = site
            elif kind == "none":
                t._grad = t._used = None
            elif kind == "grad":
                t._grad = wrap(run.outputs[output])
            elif kind == "leaf":
                t.requires_grad_(True)
            else:
                t.requires_grad_(False)


def _check_writeable(array: Any, name: str) -> None:
    if not array.flags.writeable:
        raise ArgumentError(
            "compile: the function writes into memory that is read-only",
            got=f"{name} {array.shape}",
            fix=".clone() before the write",
        )


def _too_large(number: int) -> ArgumentError:
    return ArgumentError(
        "compile: a whole number among the arguments is too large", expected="-2**63 to 2**63 - 1",
        got=str(number), fix="a float of it, or compile(..., static=...) if it stays the same",
    )  # fmt: skip


def _kind(t: Tensor) -> tuple[bool, tuple[Any, ...]]:
    """Whether a tensor is a leaf that requires a gradient, and its hooks."""
    node = t._node
    return type(node) is Leaf, tuple(getattr(node, "hooks", None) or ())


def _located(error: ChainruleError, where: Check | Demand) -> ChainruleError:
    """An error with the line and layer of the recorded function."""
    error.site = where.site
    error.line = describe_site(where.site)
    if where.module is not None:
        error.module = where.module
        error.layer = type(where.module).__name__
    return error
