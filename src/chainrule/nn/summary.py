"""A model as a table: layers, output shapes, parameters, multiply-adds, memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ChainruleError
from ..markup import block, size_text, table
from ..ops.core import current
from ..tensor.autograd import no_grad
from ..tensor.core import Tensor
from ..tensor.create import as_tensor, zeros
from ..tensor.looking import no_trace
from ..tensor.random import get_rng_state, set_rng_state
from .module import Module
from .parameter import Parameter

SCHEMA = "chainrule summary 1"
HEAD = ("layer", "type", "output", "parameters", "learned", "multiply-adds", "memory")


@dataclass
class Row:
    """A module: everything here is its own, without what is below it.

    output: shapes of its first call, None where it was not called.  memory: bytes of parameters
    and buffers.  same_as: the path where a shared module is counted.
    """

    name: str
    type: str
    depth: int
    output: list[list[int]] | None = None
    parameters: int = 0
    learned: int = 0
    multiply_adds: int | None = None
    memory: int = 0
    calls: int = 0
    same_as: str | None = None


@dataclass
class Summary:
    """The rows of a model in order; totals count shared modules and parameters once."""

    model: str
    rows: list[Row]
    ran: bool
    output_memory: int | None = None
    input_shapes: list[list[int]] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Numbers in parameters."""
        return sum(r.parameters for r in self.rows)

    @property
    def learned(self) -> int:
        """Numbers in parameters that are learned."""
        return sum(r.learned for r in self.rows)

    @property
    def multiply_adds(self) -> int | None:
        """Multiply-adds of one forward pass; None where none was made."""
        return sum(r.multiply_adds or 0 for r in self.rows) if self.ran else None

    @property
    def memory(self) -> int:
        """Bytes of parameters and buffers."""
        return sum(r.memory for r in self.rows)

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schema": SCHEMA, "model": self.model, "input_shapes": self.input_shapes,
            "layers": [asdict(r) for r in self.rows], "parameters": self.parameters,
            "learned": self.learned, "multiply_adds": self.multiply_adds, "memory": self.memory,
            "output_memory": self.output_memory,
        }  # fmt: skip

    def __str__(self) -> str:
        cells = [list(HEAD), *(self._cells(r, "  " * r.depth) for r in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(HEAD))]
        lines = []
        for row in cells:
            left = [c.ljust(w) for c, w in zip(row[:3], widths[:3], strict=True)]
            right = [c.rjust(w) for c, w in zip(row[3:], widths[3:], strict=True)]
            lines.append("  ".join([*left, *right]).rstrip())
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:], rule, *self._totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [self._cells(r, "\u2003" * r.depth) for r in self.rows]
        totals = "".join(f"<div>{text}</div>" for text in self._totals())
        return block(f"{self.model}, layer by layer", table(HEAD, rows, numbers=(3, 4, 5, 6)),
                     totals)  # fmt: skip

    def _cells(self, r: Row, indent: str) -> list[str]:
        if r.same_as is not None:
            return [indent + r.name, r.type, f"the same as {r.same_as}", "", "", "", ""]
        output = "not called" if self.ran else "not run"
        if r.output is not None:
            output = ", ".join(_shape(s) for s in r.output)
            output += f" ({r.calls} calls)" if r.calls > 1 else ""
        return [
            indent + r.name, r.type, output, _count(r.parameters), _count(r.learned),
            _count(r.multiply_adds or 0), size_text(r.memory) if r.memory else "",
        ]  # fmt: skip

    def _totals(self) -> list[str]:
        held = self.parameters - self.learned
        lines = [
            f"parameters: {self.parameters:,}, {self.learned:,} learned, {held:,} held fixed",
            f"memory of parameters and buffers: {size_text(self.memory)}",
        ]
        if self.ran:
            given = ", ".join(_shape(s) for s in self.input_shapes) or "nothing"
            lines += [
                f"for an input of {given}: {self.multiply_adds:,} multiply-adds in matrix "
                "products, forward",
                f"memory of the layers' outputs: {size_text(self.output_memory or 0)}",
            ]
        return lines


def _shape(sizes: Sequence[int]) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def _count(n: int) -> str:
    return f"{n:,}" if n else ""


def summary(model: Module, input: Any = None, *, input_size: Any = None) -> Summary:
    """A model as a table: a row a module, with output shape, parameters, multiply-adds, memory.

    input: a Tensor or array; a tuple or list of them, given one by one; a dict, given by name.
    input_size: a shape, or a list of shapes, in place of it: zeros are given.  Without either,
    the parameters alone.  The model runs once, as a copy in evaluation mode without gradients and
    hooks; mode, buffers, gradients and random numbers stay as they are.  Multiply-adds are those
    of all matrix products: Linear, convolutions, attention, recurrent layers.

    Each row is a module's own, so that the rows add up to the totals; shared modules and shared
    parameters are counted once.  Raises ArgumentError where the input does not fit.  PyTorch has
    no such function; it is the one of the package torchinfo, whose rows add up what is below.

    >>> from chainrule import nn, summary
    >>> summary(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), input_size=(2, 4)).multiply_adds
    24
    """
    if not isinstance(model, Module):
        raise ArgumentTypeError("summary: needs a Module", got=type(model).__name__)
    no_trace("summary", "call it outside the compiled function")
    inputs, named = _inputs(input, input_size)
    rows = list(_rows(model))
    found = Summary(type(model).__name__, rows, bool(inputs or named))
    if found.ran:
        given = [*inputs, *named.values()]
        found.input_shapes = [list(t.shape) for t in given if isinstance(t, Tensor)]
        found.output_memory = _run(model, rows, inputs, named)
    return found


def _inputs(given: Any, size: Any) -> tuple[list[Any], dict[str, Any]]:
    """What the model is called with."""
    if given is not None and size is not None:
        raise ArgumentError("summary: input and input_size are two ways to say the same")
    if size is not None:
        sizes = list(size)
        shapes = [sizes] if all(isinstance(n, (int, np.integer)) for n in sizes) else sizes
        return [zeros(*map(int, s)) for s in shapes], {}
    if isinstance(given, dict):
        return [], {str(k): _tensor(v) for k, v in given.items()}
    if given is None:
        return [], {}
    return [_tensor(v) for v in (given if isinstance(given, (tuple, list)) else [given])], {}


def _tensor(value: Any) -> Any:
    return as_tensor(value) if isinstance(value, np.ndarray) else value


def _rows(model: Module) -> Iterator[Row]:
    """A row a module; what was met before is told by where."""
    first: dict[int, str] = {}
    counted: set[int] = set()
    for path, module, depth in _walk(model):
        row = Row(path or "(the model)", type(module).__name__, depth)
        if id(module) in first:
            row.same_as = first[id(module)]
        else:
            first[id(module)] = path or "(the model)"
            for _, t in (*module._own_parameters(), *module._own_buffers()):
                if id(t) in counted:
                    continue
                counted.add(id(t))
                row.memory += t.numel() * t.dtype.itemsize
                if isinstance(t, Parameter):
                    row.parameters += t.numel()
                    row.learned += t.numel() if t.requires_grad else 0
        yield row


def _walk(
    module: Module, path: str = "", depth: int = 0, met: set[int] | None = None
) -> Iterator[tuple[str, Module, int]]:
    """(path, module, depth) of all modules; of one that was met before nothing below it."""
    met = set() if met is None else met
    yield path, module, depth
    if id(module) in met:
        return
    met.add(id(module))
    for name, child in [(n, m) for n, m in module.__dict__.items() if isinstance(m, Module)]:
        yield from _walk(child, f"{path}.{name}" if path else name, depth + 1, met)


# ---------------------------------------------------------------- the one run


def _run(model: Module, rows: list[Row], inputs: list[Any], named: dict[str, Any]) -> int:
    """Fills in shapes and multiply-adds from a run of a copy; bytes of all leaves' outputs."""
    twin = copied("summary", model)
    places = [m for _, m, _ in _walk(twin)]
    by_module = {id(m): r for m, r in zip(places, rows, strict=True) if r.same_as is None}
    leaves = {id(m) for m in twin.modules() if not any(True for _ in m.children())}
    memory = 0

    def note(module: Module, args: Any, output: Any) -> None:
        nonlocal memory
        row = by_module[id(module)]
        row.calls += 1
        tensors = list(tensors_in(output))
        if row.output is None:
            row.output = [list(t.shape) for t in tensors]
        if id(module) in leaves:
            memory += sum(t.numel() * t.dtype.itemsize for t in tensors)

    for module in twin.modules():
        module.register_forward_hook(note)
    state = get_rng_state()
    try:
        with no_grad(), _counting(by_module, by_module[id(twin)]):
            run_as("summary", lambda: twin.eval()(*inputs, **named))
    finally:
        set_rng_state(state)
    return memory


Result = TypeVar("Result")


def run_as(owner: str, call: Callable[[], Result]) -> Result:
    """Calls; what is no error of ours is told as one about the input."""
    try:
        return call()
    except ChainruleError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"{owner}: the model can't be called with this input",
            expected="what its forward takes: a tuple for several arguments",
            got=f"{type(error).__name__}: {error}"[:120],
        ) from error


def copied(owner: str, model: Module) -> Module:
    """A copy with memory of its own, without the hooks of the user's."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            memo[id(hooks)] = {}
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:
        raise ArgumentError(
            f"{owner}: the model can't be copied, and it is never run itself",
            got=f"{type(error).__name__}: {error}"[:120],
            fix="summary(model), without an input: the parameters alone",
        ) from error


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in an output, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for v in value.values():
            yield from tensors_in(v)
    elif isinstance(value, (tuple, list)):
        for v in value:
            yield from tensors_in(v)


@contextmanager
def _counting(by_module: dict[int, Row], outside: Row) -> Iterator[None]:
    """Within the block the multiply-adds of every matrix product go to the module that runs."""
    outer = current.interpreter

    def counted(op: Any, inputs: Any, params: Any) -> Any:
        y = outer(op, inputs, params)
        if op.name == "matmul":
            inner = inputs[0].shape[-2 if params.get("ta") else -1]
            row = by_module.get(id(current.module), outside)
            row.multiply_adds = (row.multiply_adds or 0) + y.numel() * inner
        return y

    current.interpreter = counted
    try:
        yield
    finally:
        current.interpreter = outer
