"""A function as the program that it is, with what its inputs hold; nothing has changed after it.

Both exporters start here: the function runs once on nodes, as a compiled function does, and no
machine code is made of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, ArgumentTypeError, ExportError, describe_site
from ..graph import Graph, Node
from ..jit.arguments import Call
from ..jit.compiled import Compiled
from ..jit.program import Program
from ..jit.record import Number, record
from ..nn import Module
from ..nn.summary import run_as, tensors_in
from ..ops.core import Spec
from ..optim.recorded import Steps
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor
from ..tensor.looking import no_trace
from ..tensor.placing import Check


@dataclass
class Recorded:
    """A program and what stands for its inputs.

    arguments: the inputs that are arguments, in the order in which they are given.  values: what
    every other input holds, copied.  tensors: the user's tensors among those.  returned: how many
    of the graph's outputs the function returns; what follows them says whether it refuses what it
    was given.  first: inputs that are true at an optimizer's first step alone.  settings: numbers
    of optimizers.  paths: layer -> its name.  demands: what must hold.
    checks: what arguments must hold, such as labels within their range.
    """

    graph: Graph
    arguments: list[Node]
    values: dict[Node, Any]
    returned: int
    tensors: dict[Node, Tensor] = field(default_factory=dict)
    first: list[Node] = field(default_factory=list)
    settings: list[Node] = field(default_factory=list)
    paths: dict[Any, str] = field(default_factory=dict)
    demands: list[Node] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def layer(self, node: Node) -> str | None:
        """The layer that made a line: its name in the model, and its type."""
        if node.module is None:
            return None
        path, kind = self.paths.get(node.module, ""), type(node.module).__name__
        return f"{path} ({kind})" if path else kind


def example_of(owner: str, given: Any) -> tuple[Any, ...]:
    """The arguments of an example, each a tensor or an array or tuples of those."""
    args = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if not any(isinstance(x, (Tensor, np.ndarray)) for x in args):
        raise ArgumentTypeError(
            f"{owner}: the example is what the function is called with",
            expected="a tensor or an array; a tuple of them for several arguments",
            got=type(given).__name__,
        )  # fmt: skip
    return args


def module_of(model: Any) -> Any:
    """A compiled module as the module that it is; whatever else as it stands."""
    inner = model.function if isinstance(model, Compiled) else model
    return inner if isinstance(inner, Module) else model


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within the block a model and all in it are in evaluation mode."""
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            if module.training is not mode:
                module.training = mode


def record_model(owner: str, model: Any, args: tuple[Any, ...]) -> Recorded:
    """The forward pass of a model in evaluation mode."""
    model = module_of(model)
    if not isinstance(model, Module):
        raise ArgumentTypeError(
            f"{owner}: needs a Module", got=type(model).__name__,
            fix="a Module with a forward() of your own",
        )  # fmt: skip
    args = tuple(a.detach() if isinstance(a, Tensor) else a for a in args)

    def forward(*given: Any) -> list[Tensor]:
        return [ops.detach(t) for t in tensors_in(model(*given))]  # what goes in may come out

    with evaluating(model), no_grad():
        names = list(inspect.signature(model.forward).parameters)
        found = run_as(owner, lambda: _recorded(owner, forward, args, frozenset(), names))
    found.paths = {m: path for path, m in model.named_modules()}
    state = {t: name for name, t in (*model.named_buffers(), *model.named_parameters())}
    for node, t in found.tensors.items():
        node.name = state.get(t, node.name)
    taken = {node.name for node in found.tensors}
    for node in (*found.arguments, *found.values):
        while node not in found.tensors and node.name in taken:
            node.name += "_"
        taken.add(node.name)
    return found


def record_step(owner: str, step: Any, args: tuple[Any, ...]) -> Recorded:
    """A whole training step: what `chainrule.compile` was given, or gave."""
    function, static = (step.function, step._static) if isinstance(step, Compiled) else (step, ())
    if not callable(function):
        raise ArgumentTypeError(
            f"{owner}: needs a model, or a function that takes a training step",
            got=type(step).__name__, fix="chainrule.compile(step)",
        )  # fmt: skip
    names = list(inspect.signature(function).parameters)
    return _recorded(owner, function, args, frozenset(static), names)


def _recorded(
    owner: str, function: Callable[..., Any], args: tuple[Any, ...], static: frozenset[Any],
    names: list[str],
) -> Recorded:  # fmt: skip
    no_trace(owner, "call it outside the compiled function")
    call = Call(args, {}, static)
    program = record(function, args, {}, call, static, names)
    try:
        program.seal()
        changed = program.changed(call)
        if changed is not None:
            raise ArgumentError(f"{owner}: the function changes what it depends on", got=changed)
        return _taken(owner, program, call)
    finally:
        for undo in reversed(program.first_undo):
            undo()


def _taken(owner: str, program: Program, call: Call) -> Recorded:
    """What is known of a program's inputs, before what its recording has made is undone."""
    graph = program.graph
    for node in graph.inputs:
        if isinstance(program.sources[node], Number):
            raise ArgumentTypeError(
                f"{owner}: {node.name} is a Python number, and no number is an input there",
                fix=f"a tensor, or chainrule.compile(..., static=[{node.name!r}])",
            )  # fmt: skip
    try:
        arrays = dict(zip(graph.inputs, map(np.array, program._collect(call)), strict=True))
    finally:
        for part in program.parts:
            part.failed()  # nothing was run: what was drawn is given back
    numbered = {program.sources[n]: n for n in graph.inputs if type(program.sources[n]) is int}
    arguments = [_argument(numbered, program, i, call) for i in range(len(call.tensors))]
    tensors = {n: s for n in graph.inputs if isinstance(s := program.sources[n], Tensor)}
    optimizers = [part for part in program.parts if isinstance(part, Steps)]
    first = [age.fresh for part in optimizers for age in part.ages if age.fresh in arrays]
    settings = [n for part in optimizers for n in part.settings.values() if n in arrays]
    values = {n: a for n, a in arrays.items() if n not in arguments}
    if program.standing:
        raise ArgumentError(
            f"{owner}: the function returns what it was given, as it is",
            got=", ".join(program.standing), fix="return results only",
        )  # fmt: skip
    demands = [d.holds for d in program.demands]
    return Recorded(
        graph, arguments, values, program.returned, tensors, first, settings, {}, demands,
        [c for c in program.checks if c.node in arguments],
    )  # fmt: skip


def _argument(numbered: dict[Any, Node], program: Program, i: int, call: Call) -> Node:
    """The input that an argument is; one of its own where the function does not read it."""
    if i in numbered:
        return numbered[i]
    x = call.tensors[i]
    return Node(None, (), {}, Spec(tuple(x.shape), x.dtype), f"unused{i}")


def not_exported(
    owner: str, recorded: Recorded, node: Node, why: str, got: str | None = None,
    fix: str | None = None,
) -> ExportError:  # fmt: skip
    """The error for a line that can't be said, with its op, its layer and the user's line."""
    name = node.name if node.op is None else node.op.name
    error = ExportError(f"{owner}: {name} can't be exported: {why}", got=got, fix=fix, line="")
    error.site, error.line = node.site, describe_site(node.site)
    error.layer = recorded.layer(node)
    return error
