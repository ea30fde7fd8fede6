"""The recorded program: what was computed, in order, without the values.

    graph  := header line+ update* result
    header := "graph(" (name ":" type)* ")"
    line   := "%" number ":" type "=" op "(" operand* setting* ")"
    update := name "<-" "%" number
    operand:= "%" number | name | a Python number
    type   := dtype "[" size* "]"

Every line reads only inputs and lines above it, so the text can be run from top to bottom.  An
update writes a value into the memory of an input, after everything was computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..dtypes import DType
from ..errors import Site, TraceError, describe_site, source_of
from ..ops.core import Op, Params, Shape, Spec

_ages = itertools.count(1)


_RETURN = "return the tensor and read it outside, or leave this part uncompiled"
_INSTEAD = {
    "the truth of a tensor": "chainrule.where(condition, a, b) in place of `if`, or an argument "
    "that is a bool, which is part of the program",
    "an index": "compile(..., static=['name']) makes an argument part of the program",
    "one_hot without num_classes": "num_classes=...: a shape can't depend on values",
    "nonzero": "chainrule.where(condition, a, b): a shape can't depend on values",
    "unique": "do this outside the compiled function: a shape can't depend on values",
    "a list of tensors": "chainrule.stack([...])",
}


def unknown(node: Node, what: str) -> TraceError:
    """The error for a look at a value while a program is recorded: `what` says at what for."""
    if node.op is None:
        origin = f"{node.name or 'an input'}, {type_text(node)}"
    else:
        line, source = describe_site(node.site), source_of(node.site)
        origin = f"the result of {node.op.name}, {type_text(node)}, made at {line}  {source}"
    return TraceError(
        f"{what}: values are not known while a compiled function is recorded",
        expected="operations on tensors: they are recorded, and run at every call",
        got=origin.rstrip(),
        fix=f"compile(..., static=[{node.name!r}]): the number becomes part of the program"
        if node.weak and node.op is None
        else _INSTEAD.get(what, _RETURN),
    )


def _reading(what: str) -> Callable[..., Any]:
    def method(self: Node, *args: Any, **kwargs: Any) -> Any:
        raise unknown(self, what)

    return method


def _operator(op: Op, reflected: bool = False) -> Callable[..., Any]:
    def method(self: Any, *other: Any) -> Any:
        return op(*other, self) if reflected else op(self, *other)

    return method


class Node:
    """One value of a program: an input (op is None) or the result of an op on earlier values."""

    def __init__(
        self, op: Op | None, inputs: tuple[Any, ...], params: Params, spec: Spec,
        name: str = "", site: Site | None = None,
    ) -> None:  # fmt: skip
        self.op = op
        self.inputs = inputs
        self.params = params
        self.spec = spec
        self.name = name
        self.site = site
        self.module: Any = None  # the innermost layer that was running
        self.seq = next(_ages)
        self.weak = False  # a Python number: it leaves the dtype of what it meets as it is

    @property
    def shape(self) -> Shape:
        return self.spec.shape

    @property
    def dtype(self) -> DType:
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        return len(self.spec.shape)

    @property
    def size(self) -> int:
        return self.spec.size

    @property
    def itemsize(self) -> int:
        return self.spec.dtype.itemsize

    # rules are written with operators, so a node has them too
    __add__, __radd__ = _operator(ops.add), _operator(ops.add, True)
    __sub__, __rsub__ = _operator(ops.sub), _operator(ops.sub, True)
    __mul__, __rmul__ = _operator(ops.mul), _operator(ops.mul, True)
    __truediv__, __rtruediv__ = _operator(ops.div), _operator(ops.div, True)
    __pow__, __rpow__ = _operator(ops.pow), _operator(ops.pow, True)
    __neg__ = _operator(ops.neg)
    __lt__, __le__ = _operator(ops.lt), _operator(ops.le)
    __gt__, __ge__ = _operator(ops.gt), _operator(ops.ge)
    __and__, __or__ = _operator(ops.logical_and), _operator(ops.logical_or)

    __bool__ = _reading("the truth of a tensor")
    __float__, __int__, __index__ = _reading("float()"), _reading("int()"), _reading("an index")
    __array__, __iter__ = _reading("NumPy"), _reading("iteration")
    item, tolist = _reading("item"), _reading("tolist")

    def __repr__(self) -> str:
        return f"<{self.name or (self.op.name if self.op else 'input')} {type_text(self.spec)}>"


def type_text(spec: Any) -> str:
    """`float32[2,3]`."""
    return f"{spec.dtype.name}[{','.join(str(n) for n in spec.shape)}]"


class Graph:
    """Inputs, the nodes in the order in which they were recorded, updates of inputs, outputs."""

    def __init__(
        self, inputs: Sequence[Node], nodes: Sequence[Node], outputs: Sequence[Any],
        updates: Sequence[tuple[Node, Any]] = (),
    ) -> None:  # fmt: skip
        self.inputs = tuple(inputs)
        self.nodes = tuple(nodes)
        self.outputs = tuple(outputs)
        self.updates = tuple(updates)

    def __str__(self) -> str:
        names: dict[int, str] = {id(n): n.name for n in self.inputs}

        def shown(x: Any) -> str:
            return names[id(x)] if id(x) in names else repr(x)

        header = ", ".join(f"{n.name}: {type_text(n)}" for n in self.inputs)
        lines = [f"graph({header})"]
        for i, node in enumerate(self.nodes):
            assert node.op is not None
            names[id(node)] = f"%{i}"
            operands = [shown(x) for x in node.inputs]
            settings = [f"{k}={_setting(v)}" for k, v in node.params.items()]
            call = f"{node.op.name}({', '.join([*operands, *settings])})"
            lines.append(f"  %{i}: {type_text(node)} = {call}")
        lines += [f"  {x.name} <- {shown(v)}" for x, v in self.updates]
        results = ", ".join(shown(x) for x in self.outputs)
        return "\n".join([*lines, f"  return {results}"])


def _setting(v: Any) -> str:
    return v.name if hasattr(v, "name") and hasattr(v, "itemsize") else repr(v).replace(" ", "")
