"""What writes the nodes of an ONNX graph: names, constants, sizes that are known at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import ExportError
from ..export.recording import not_exported
from ..graph import Node
from .growth import Dim, Size, Sizes, Spec

Entry = Callable[["Writer", "Line"], str]
ENTRIES: dict[str, Entry | str] = {}
"""How each op is written, by its name; a text says why it can't be."""


def entry(*names: str) -> Callable[[Entry], Entry]:
    """Registers a function as what writes these ops."""

    def registered(function: Entry) -> Entry:
        ENTRIES.update(dict.fromkeys(names, function))
        return function

    return registered


def unused(name: str, taken: set[str]) -> str:
    """A name like this one that is not among those taken, and is from now on."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    taken.add(found)
    return found


class Line(NamedTuple):
    """A line of the program, as what writes it sees it.

    x: the names of its operands in the new graph.  ins: their shapes and types; None for numbers.
    p: its settings.
    """

    node: Node
    op: str
    x: list[str]
    ins: list[Spec]
    p: dict[str, Any]
    shape: tuple[Size, ...]
    dtype: DType


class Writer:
    """Nodes and constants so far.  `put` adds a node and gives the name of its output."""

    def __init__(self, helper: Any, sizes: Sizes) -> None:
        self.helper = helper
        self.sizes = sizes
        self.nodes: list[Any] = []
        self.constants: dict[Any, tuple[str, Any]] = {}
        self.taken: set[str] = set()
        self.known: dict[Any, str] = {}  # sizes that are computed
        self.names: dict[Node, str] = {}  # of values
        self.cells: dict[Node, str] = {}  # of LSTMs by what they give: their last c
        self.place = ""  # the layer whose lines are being written
        self.growing: dict[str, tuple[str, int]] = {}  # size -> the input and dimension that has it

    def fresh(self, name: str) -> str:
        """A name that nothing has."""
        return unused(name, self.taken)

    def put(self, kind: str, *inputs: str, output: str = "", **settings: Any) -> str:
        """Adds a node; gives the name of what it computes."""
        label = self.fresh(f"{self.place}/{kind}" if self.place else kind)
        output = output or label
        node = self.helper.make_node(kind, list(inputs), [output], name=label, **settings)
        self.nodes.append(node)
        return output

    # ------------------------------------------------------------ constants

    def const(self, value: Any, dtype: Any) -> str:
        """A constant."""
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self.constants:
            shown = f"{array}" if array.size == 1 else "x".join(map(str, array.shape)) or "empty"
            shown = shown.strip("[]")
            self.constants[key] = (self.fresh(f"const/{array.dtype.name}/{shown}"), array)
        return self.constants[key][0]

    def whole(self, *values: int) -> str:
        """Whole numbers, (n,)."""
        return self.const(np.array(values, np.int64).reshape(len(values)), np.int64)

    def like(self, value: Any, dtype: DType) -> str:
        """A number."""
        return self.const(np.asarray(value).astype(dtype), dtype)

    # ------------------------------------------------------------ sizes

    def size(self, n: Size) -> str:
        """A size, (1,)."""
        if not isinstance(n, Dim):
            return self.whole(n)
        if n not in self.known:
            outer, self.place = self.place, "sizes"
            parts = [self._term(names, factor) for names, factor in n.terms]
            found = parts[0]
            for part in parts[1:]:
                found = self.put("Add", found, part)
            self.known[n] = found
            self.place = outer
        return self.known[n]

    def _term(self, names: Sequence[str], factor: int) -> str:
        """A product of sizes of inputs and a number, (1,)."""
        found = ""
        for name in names:
            if name not in self.known:
                x, axis = self.growing[name]
                self.known[name] = self.put("Shape", x, start=axis, end=axis + 1)
            found = self.put("Mul", found, self.known[name]) if found else self.known[name]
        if not found:
            return self.whole(factor)
        return found if factor == 1 else self.put("Mul", found, self.whole(factor))

    def shape(self, sizes: Sequence[Size]) -> str:
        """A shape, (n,)."""
        key = tuple(sizes)
        if not any(isinstance(n, Dim) for n in key):
            return self.whole(*key)  # type: ignore[arg-type]
        if key not in self.known:
            parts = [self.size(n) for n in key]
            outer, self.place = self.place, "sizes"
            self.known[key] = parts[0] if len(parts) == 1 else self.put("Concat", *parts, axis=0)
            self.place = outer
        return self.known[key]

    def number(self, n: Any, dtype: DType) -> str:
        """A number among the operands of a line."""
        if not isinstance(n, Dim):
            return self.like(n, dtype)
        return self.cast(self.put("Squeeze", self.size(n), self.whole(0)), dtype, dtypes.int64)

    # ------------------------------------------------------------ what entries share

    def type_of(self, dtype: DType) -> int:
        """ONNX's number of a type."""
        found: int = self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return found

    def cast(self, x: str, dtype: DType, old: DType) -> str:
        """The same value in another type."""
        return x if dtype == old else self.put("Cast", x, to=self.type_of(dtype))

    def reshape(self, x: str, shape: Sequence[Size]) -> str:
        """The same elements under another shape."""
        grows = [i for i, n in enumerate(shape) if isinstance(n, Dim)]
        if len(grows) == 1 and 0 not in shape:
            told = [-1 if i in grows else n for i, n in enumerate(shape)]
            return self.put("Reshape", x, self.shape(told))
        settings: dict[str, Any] = {"allowzero": 1} if 0 in shape else {}
        return self.put("Reshape", x, self.shape(shape), **settings)

    def permute(self, x: str, axes: Sequence[int]) -> str:
        """The dimensions in another order."""
        if list(axes) == list(range(len(axes))):
            return x
        return self.put("Transpose", x, perm=list(axes))

    def filled(self, value: Any, shape: Sequence[Size], dtype: DType) -> str:
        """One number everywhere."""
        if not shape:
            return self.like(value, dtype)
        from_array = self.helper.make_tensor("value", self.type_of(dtype), [1],
                                             [np.asarray(value).astype(dtype).item()])  # fmt: skip
        return self.put("ConstantOfShape", self.shape(shape), value=from_array)

    def counted(self, n: Size, dtype: DType = dtypes.int64) -> str:
        """0 .. n - 1."""
        if not isinstance(n, Dim):
            return self.const(np.arange(n), dtype)
        zero, one = self.like(0, dtypes.int64), self.like(1, dtypes.int64)
        count = self.number(n, dtypes.int64)
        return self.cast(self.put("Range", zero, count, one), dtype, dtypes.int64)

    def sorted(self, x: str, count: str, axis: int, descending: bool) -> str:
        """The places of the first `count` along a dimension, in order."""
        label = self.fresh(f"{self.place}/TopK" if self.place else "TopK")
        outputs = [self.fresh(f"{label}/values"), self.fresh(f"{label}/places")]
        settings = {"axis": axis, "largest": int(descending), "sorted": 1}
        node = self.helper.make_node("TopK", [x, count], outputs, name=label, **settings)
        self.nodes.append(node)
        return outputs[1]

    def refused(self, line: Line, why: str) -> ExportError:
        """The error for a line that ONNX can't say."""
        return not_exported(self.sizes.owner, self.sizes.recorded, line.node, why)

    def index(self, x: str, dtype: DType) -> str:
        """Whole numbers as an index."""
        return x if dtype in (dtypes.int32, dtypes.int64) else self.cast(x, dtypes.int64, dtype)
