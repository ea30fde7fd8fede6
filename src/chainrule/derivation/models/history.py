"""A loss that was computed already, as a program: its history, from the last op to the first.

Every op that a gradient flows through remembers what it was computed from: other ops, leaves, and
the constants that no gradient flows to.  That is a program, as long as nothing in it was freed by
backward() or overwritten since.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import GradError, describe_site
from ...grad import Freed, Leaf
from ...grad import Node as Made
from ...graph import Graph, Node
from ...graph.trace import Recorder
from ...nn import Module
from ...nn.module import called
from ...ops.core import Spec, interpret, is_number, quietly
from ...tensor.autograd import _require_history, grad
from ...tensor.core import LaidOut, Tensor
from .recording import Recording, add_paths, checked, unique

AGAIN = "explain(lambda: loss_fn(model(x), y), ...), which computes the loss again"


def replayed(loss: Tensor, named: dict[str, Tensor], paths: dict[Any, str]) -> Recording:
    """What a loss was computed from."""
    checked(loss)
    _require_history(loss, "explain")
    return History(loss).recording(named, paths)


def written_since(laid_out: LaidOut) -> bool:
    """Whether a tensor was overwritten after a layer has copied from it."""
    cell = laid_out.x._cell
    return cell is not None and cell.changed > laid_out.seq


class History:
    """One loss, and all that it was computed from."""

    def __init__(self, loss: Tensor) -> None:
        self.loss = loss
        self.recorder = Recorder()
        self.inputs: dict[Any, Node] = {}  # by the tensor
        self.moved: dict[Any, Node] = {}  # by the tensor that a layer has laid out
        self.arrays: dict[Node, Any] = {}
        self.leaves: list[Tensor] = []
        self.now: dict[Any, Node] = {}
        with interpret(self.recorder), quietly():
            for made in self._order(loss._node_now()):
                self._add(made)

    def _order(self, last: Any) -> list[Any]:
        """Every recorded op, the oldest first."""
        seen, stack = set(), [last]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(e for e in node.edges if e is not None)
        return sorted((n for n in seen if type(n) is Made), key=lambda n: n.seq)

    def _add(self, made: Any) -> None:
        """One op as a line."""
        if isinstance(made.inputs, Freed):
            raise GradError(
                "explain: this loss has gone backward, and what it was computed from was freed",
                got=f"backward at {describe_site(made.inputs.site)}",
                fix=f"loss.explain(...) before backward(), backward(retain_graph=True), or {AGAIN}",
            )
        operands = [self._operand(made, i) for i in range(len(made.edges))]
        start = len(self.recorder.nodes)
        line = made.op(*operands, **made.params)
        for node in self.recorder.nodes[start:]:
            node.module = made.module
            node.site = made.site
        self.now[made] = line

    def _operand(self, made: Any, i: int) -> Any:
        """What an op was given: an earlier line, a leaf, a constant or a number."""
        edge = made.edges[i]
        if type(edge) is Made:
            return self.now[edge]
        if type(edge) is Leaf:
            tensor = edge.ref()
            if tensor is None:
                raise self._gone(made, "a parameter that is not there any more")
            if tensor not in self.inputs:
                self.leaves.append(tensor)
            return self._input(made, tensor)
        if made.constants is None:
            raise self._gone(made, "a constant that was not kept")
        constant = made.constants[i]
        if is_number(constant) or constant is None:
            return constant
        return self._input(made, constant)

    def _input(self, made: Any, tensor: Tensor) -> Node:
        """A tensor as an input of the program, as long as it is what it was."""
        cell = tensor._cell
        if cell is not None and cell.changed > made.seq:
            raise GradError(
                "explain: what the loss was computed from was overwritten since",
                got=f"an input of {made.op.name}, written at {describe_site(cell.site)}",
                fix=f"loss.explain(...) before the step, or {AGAIN}",
            )
        laid_out = tensor._laid_out
        if laid_out is not None and not written_since(laid_out):
            if tensor not in self.moved:
                x = self._input(made, laid_out.x)
                start = len(self.recorder.nodes)
                self.moved[tensor] = laid_out.op(x, **laid_out.params)
                for node in self.recorder.nodes[start:]:
                    node.module = made.module
                    node.site = made.site
            return self.moved[tensor]
        if tensor not in self.inputs:
            value = tensor._value
            name = "x" if value.dtype.kind == "f" else "index"  # variables have names, values none
            node = Node(None, (), {}, Spec(value.shape, value.dtype), name)
            self.inputs[tensor] = node
            self.arrays[node] = value.copy()
        return self.inputs[tensor]

    def _gone(self, made: Any, what: str) -> GradError:
        return GradError(
            "explain: the history of this loss does not hold all that it was computed from",
            got=f"{made.op.name} at {describe_site(made.site)} reads {what}",
            fix=AGAIN,
        )

    # ------------------------------------------------------------ the recording

    def recording(self, named: dict[str, Tensor], paths: dict[Any, str]) -> Recording:
        """The program with the names that its leaves go by."""
        names = {t: n for n, t in named.items()}
        if not names:
            self._find_names(names, paths)
        listed = unique([names.get(t, "") for t in self.leaves])
        leaves = {}
        for name, t in zip(listed, self.leaves, strict=True):
            leaves[name] = self.inputs[t]
            leaves[name].name = name
        loss = self.now[self.loss._node_now()]
        graph = Graph(list(self.inputs.values()), self.recorder.nodes, [loss])
        backward = {n: g for n, g in zip(listed, self._backward(), strict=True) if g is not None}
        return Recording(
            graph, [self.arrays[n] for n in graph.inputs], leaves,
            dict(zip(listed, self.leaves, strict=True)), np.array(self.loss._value), backward,
            {n: n.module for n in self.recorder.nodes}, paths,
        )  # fmt: skip

    def _backward(self) -> list[Any]:
        """What backward() gives, without storing it anywhere."""
        kept = [(n, n.retained) for n in self.now if n.retained is not None]
        for node, _ in kept:
            node.retained = None
        try:
            found = grad(self.loss, self.leaves, retain_graph=True, allow_unused=True)
        finally:
            for node, retained in kept:
                node.retained = retained
        return [None if g is None else np.array(g._value) for g in found]

    def _find_names(self, names: dict[Tensor, str], paths: dict[Any, str]) -> None:
        """Names from the modules that were called: those that hold most of the leaves, the last of
        these that was called before the loss was there."""
        left = set(self.leaves)
        now = self.loss._node_now().seq
        while left:
            held = [(len(found), when <= now, when, m, found) for m, when in list(called.items())
                    if (found := left & set(m.parameters()))]  # fmt: skip
            if not held:
                return
            module: Module
            *_, module, found = max(held, key=lambda h: h[:3])
            add_paths(paths, module)
            for name, p in module.named_parameters():
                if p in found:
                    names[p] = name if name not in names.values() else (
                        f"{type(module).__name__}.{name}")  # fmt: skip
            left -= found
