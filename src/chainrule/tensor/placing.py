"""Where tensors lie while a compiled function is recorded, and what a program asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..errors import Site
from ..graph.node import Node
from ..ops import REGISTRY
from ..ops.core import Op, Params
from .core import Tensor

Chain = tuple[tuple[Op, Params], ...]
_RESHAPE = REGISTRY["reshape"]


class Memory:
    """A piece of memory at this point of the program: what it holds, and who owned it before."""

    __slots__ = ("first", "node", "site", "start", "tensor", "version")

    def __init__(self, node: Node, tensor: Tensor | None = None) -> None:
        self.node = self.first = node
        self.start = node if tensor is not None else None  # the input, if it is one
        self.tensor = tensor
        self.version = 0
        self.site: Site | None = None  # where it was written last


class Place:
    """Where a tensor's value lies: in a piece of memory, seen through view ops."""

    __slots__ = ("chain", "memory", "node", "version")

    def __init__(self, memory: Memory, chain: Chain, node: Node) -> None:
        self.memory = memory
        self.chain = chain
        self.node = node
        self.version = memory.version


class Input(NamedTuple):
    """An input of the program: where its array comes from at each call.

    source: an argument's number, a Tensor (its memory), an array (a constant), or a Supplier.
    """

    node: Node
    source: Any


class Check(NamedTuple):
    """A look at an input's values before each call; holds: the same, written in ops."""

    node: Node
    path: Chain
    check: Callable[[Any], Any]
    holds: Callable[[Any], Any]
    site: Site | None
    module: Any


class Demand(NamedTuple):
    """A condition on values computed by the program: if it fails nothing is updated."""

    holds: Node
    value: Node | None
    check: Callable[[Any], Any]
    site: Site | None
    module: Any


class Before(NamedTuple):
    """Attributes of a tensor as they were before the recording."""

    node: Any
    grad: Tensor | None


class GradOf(NamedTuple):
    """The source of an input that is another tensor's gradient."""

    tensor: Tensor


def phantom_of(node: Node) -> Any:
    """An array that lies in memory as the one that an op would make; its values mean nothing.

    NumPy's results lie in row-major order, unless they follow operands that were permuted.
    """
    seen: dict[Node, Any] = {}
    stack = [node]
    while stack:
        x = stack[-1]
        follows = x.op is not None and (x.op.pointwise or x.op.view) and x.op is not _RESHAPE
        operands = [y for y in x.inputs if isinstance(y, Node)] if follows else []
        waiting = [y for y in operands if y not in seen]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if not operands or x.op in (REGISTRY["detach"], REGISTRY["where"]):
            seen[x] = np.empty(x.shape, np.int8)
        elif x.op is not None and x.op.view:
            seen[x] = x.op.forward(seen[operands[0]], **x.params)
        else:
            flags: Any = [["readonly"]] * len(operands) + [["writeonly", "allocate"]]
            arrays: Any = [*(seen[y] for y in operands), None]
            types: Any = [np.int8] * len(arrays)
            iterator = np.nditer(arrays, ["zerosize_ok"], flags, types, order="K")
            seen[x] = iterator.operands[-1]
    return seen[node]
