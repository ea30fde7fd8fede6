"""Tensor: a value, its gradient, and how it was made.

`_value` is the array.  `_node` says how the tensor was made: a Node (by an op), a Leaf (the user
wants its gradient) or None (a constant).  Tensors that share memory share a Cell, which counts
writes; a view also remembers its base and the ops that lead there, so that a write through the
view becomes part of the base's history and the other way round.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    GradError,
    ShapeError,
    Site,
    describe_site,
    user_site,
)
from ..grad import Cell, Leaf, Node, clock
from ..graph.node import Node as GraphNode
from ..ops.core import NOTHING, Op, Params, Spec, changes, current, interpret
from .methods import TensorMethods


class LaidOut(NamedTuple):
    """How a tensor that no gradient flows through was laid out from another one.

    seq: when; what is written to the other one later is not in it.  depth: how often before.
    """

    x: Tensor
    op: Op
    params: Params
    seq: int
    depth: int


class Tensor(TensorMethods):
    """An array of numbers that can remember how it was computed.

    Made by `chainrule.tensor(data)` and friends.  Differs from PyTorch: on the CPU only; `.grad` of
    a tensor that is neither a leaf nor retained raises instead of warning.

    >>> import chainrule
    >>> x = chainrule.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    _value: Any
    _node: Any = None
    _grad: Tensor | None = None
    _cell: Cell | None = None
    _base: Tensor | None = None
    _chain: tuple[tuple[Op, Params], ...] = ()
    _seen: int = 0
    _lost: tuple[str, Site | None] | None = None  # what cut the way to a tracked tensor, and where
    _laid_out: LaidOut | None = None  # by which op of a layer, from which constant
    _used: Site | None = None  # where a compiled step has used its gradient up

    def __init__(self, *data: Any) -> None:
        raise ArgumentTypeError(
            "Tensor(...) is not called directly",
            fix="chainrule.tensor(data), chainrule.zeros(shape), ...",
        )

    # ------------------------------------------------------------ what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of every dimension."""
        shape: tuple[int, ...] = self._value.shape
        return shape

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        dtype: DType = self._value.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._value.shape)

    @property
    def requires_grad(self) -> bool:
        """Whether backward() computes a gradient for this tensor or through it."""
        return self._node_now() is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """Whether the user made this tensor, rather than an operation on tracked ones."""
        node = self._node_now()
        return node is None or type(node) is Leaf

    @property
    def grad_fn(self) -> Node | None:
        """The operation that made this tensor, or None for leaves."""
        node = self._node_now()
        return node if type(node) is Node else None

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Asks for this tensor's gradient (or stops asking), in place; returns the tensor."""
        node = self._node_now()
        if current.trace is not None:
            current.trace.hold(self)
        changes.note()
        if not requires_grad:
            if type(node) is Node:
                raise GradError(
                    "requires_grad_(False): this tensor was computed from tracked ones",
                    fix=".detach() for a copy without history",
                )
            self._node = None
        elif node is None:
            if self.dtype.kind != "f":
                raise GradError(
                    "requires_grad: only float tensors can have a gradient",
                    expected="float32 or float64",
                    got=self.dtype.name,
                    fix="1.0 instead of 1, or .float()",
                )
            self._node = Leaf(weakref.ref(self))
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward() left here, or None."""
        if current.trace is not None:
            current.trace.gradient(self)
        if self._grad is None:
            self._check_none()
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise ArgumentTypeError(
                    "grad: a Tensor or None can be assigned", got=type(value).__name__
                )
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ShapeError(
                    "grad: a gradient has the shape and dtype of its tensor",
                    expected=f"{self.shape} {self.dtype}",
                    got=f"{value.shape} {value.dtype}",
                )
        self._set_grad(value)

    @grad.deleter
    def grad(self) -> None:
        self._set_grad(None)

    def _check_none(self) -> None:
        """Raises where there is no gradient because none is kept."""
        if type(self._node) is Node and self._node.retained is None:
            raise GradError(
                "grad: this tensor is the result of an operation, so backward() does not keep its "
                "gradient",
                got=repr(self._node),
                fix=".retain_grad() on it before backward()",
            )
        if self._used is not None and current.trace is None:
            raise GradError(
                "grad: the compiled step has used this gradient for its update and not kept it",
                got=f"used at {describe_site(self._used)}",
                fix="return p.grad from the compiled function; zero_grad() forgets it",
            )

    def _set_grad(self, value: Tensor | None) -> None:
        if current.trace is not None:
            current.trace.hold(self, grad=True)
        self._grad = value
        self._used = None

    @property
    def data(self) -> Tensor:
        """The same memory without history; writes through it are not noticed by backward()."""
        out = wrap(self._value)
        if current.trace is not None:
            current.trace.alias(out, self)
        self._note_loss(out, "taken from .data")
        return out

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ArgumentTypeError("data: a Tensor can be assigned", got=type(value).__name__)
        if current.trace is not None:
            current.trace.replace(self, value)
            self._note_write()
            return
        self._value = value._value
        self._base = None
        self._note_write()

    def detach(self) -> Tensor:
        """The same memory as a constant: no gradient flows through the result."""
        out = wrap(self._value)
        out._cell = self._shared_cell()
        if current.trace is not None:
            current.trace.alias(out, self)
        self._note_loss(out, "cut off by .detach()")
        return out

    def _note_loss(self, out: Tensor, how: str) -> None:
        if self._node is not None:
            out._lost = how, user_site(3)

    def detach_(self) -> Tensor:
        """Forgets how this tensor was made, in place."""
        if self._base is not None:
            raise GradError("detach_: a view can't forget its base", fix=".detach()")
        changes.note()
        if current.trace is not None:
            current.trace.hold(self)
        self._node = None
        return self

    def __copy__(self) -> Tensor:
        if type(self._node_now()) is Node:
            raise GradError("copy: only leaves can be copied", fix=".detach() or .clone()")
        out = Tensor.__new__(type(self))
        out._value = self._value
        out._cell = self._shared_cell()
        if current.trace is not None:
            current.trace.alias(out, self)
        return out.requires_grad_(self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if type(self._node_now()) is Node:
            raise GradError(
                "deepcopy: only leaves can be copied with their gradient", fix=".detach().clone()"
            )
        out = self._copy()
        if self.requires_grad and type(self) is Tensor:
            out.requires_grad_()
        out._grad = None if self._grad is None else self._grad._copy()
        memo[id(self)] = out
        return out

    def _copy(self, node: Any = None) -> Tensor:
        """The same value in memory of its own."""
        trace = current.trace
        return wrap(self._value.copy() if trace is None else trace.value(self), node)

    # ------------------------------------------------------------ views and writes

    def _node_now(self) -> Any:
        """`_node`, brought up to date if the base of this view was written since."""
        base = self._base
        if base is not None:
            assert self._cell is not None
            if self._cell.rebased > self._seen:
                self._seen = self._cell.rebased
                outer, current.grad_enabled = current.grad_enabled, True
                try:
                    x = base
                    means = current.tensors if current.trace is None else history
                    for op, params in self._chain:
                        x = means(op, (x,), params)
                finally:
                    current.grad_enabled = outer
                self._node = x._node
        return self._node

    def _shared_cell(self) -> Cell:
        if self._cell is None:
            self._cell = Cell()
        return self._cell

    def _note_write(self, site: Site | None = None) -> None:
        cell = self._shared_cell()
        cell.changed = next(clock)
        cell.site = site or user_site(3)

    def _as_view(self, x: Tensor, op: Op, params: Params) -> None:
        """Records that this tensor shows part of x's memory, through `op`."""
        self._base = x if x._base is None else x._base
        self._chain = (*x._chain, (op, params))
        self._cell = cell = x._shared_cell()
        self._seen = cell.rebased

    def _check_writable(self, name: str) -> None:
        root = self if self._base is None else self._base
        if current.grad_enabled and Leaf in (type(self._node), type(root._node)):
            what = "a view of a leaf tensor" if type(self._node) is Node else "a leaf tensor"
            raise GradError(
                f"{name}: {what} that requires grad can't be written in place",
                got=f"shape {self.shape}, while operations are being recorded",
                fix="with chainrule.no_grad(): ... for a manual update",
            )
        trace = current.trace
        if repeats(self._value) if trace is None else trace.repeats(self):
            raise ShapeError(
                f"{name}: several elements of an expanded tensor share one place in memory",
                fix=".clone() before the write",
            )
        if trace is None and not self._value.flags.writeable:
            raise ArgumentError(
                f"{name}: this tensor's memory is read-only",
                got=f"shape {self.shape}, of an array that may not be written",
                fix=".clone() before the write",
            )

    def _before_write(self, args: Sequence[Any]) -> Tensor:
        """What an in-place method computes from: a copy where a rule may read it in backward."""
        tracked = any(isinstance(x, Tensor) and x.requires_grad for x in (self, *args))
        if not (tracked and current.grad_enabled):
            return self
        return self._copy(self._node_now())

    def _write(self, new: Tensor, name: str) -> Tensor:
        """Replaces the content by `new`, in place, with PyTorch's meaning for the history."""
        self._check_writable(name)
        if new.shape != self.shape:
            raise ShapeError(
                f"{name}: the result does not fit into the tensor that is written",
                expected=str(self.shape),
                got=str(new.shape),
            )
        if not dtypes.can_store(new.dtype, self.dtype):
            raise DTypeError(
                f"{name}: the result can't be stored in this tensor",
                expected=self.dtype.name,
                got=new.dtype.name,
                fix=f".to({new.dtype.name}) before the write",
            )
        if new.dtype != self.dtype:
            new = new.to(self.dtype)
        root = self if self._base is None else self._base
        node, old = new._node_now(), root._node_now()
        tracked = current.grad_enabled and (node is not None or old is not None)
        whole = self._written_base(new) if tracked and root is not self else new
        trace = current.trace
        if trace is None:
            np.copyto(self._value, new._value)
        else:
            trace.hold(root)
            trace.write(self, trace.value(new))
        self._note_write()
        if tracked:
            assert self._cell is not None
            root._node = made = whole._node_now()
            if type(old) is Node and type(made) is Node:
                made.retained, old.retained = old.retained, None
            self._cell.rebased = next(clock)
        return self

    def _written_base(self, new: Tensor) -> Tensor:
        """The base with the part that this view shows replaced, as an operation on the base."""
        assert self._base is not None
        levels = [self._base]
        with interpret(history):
            for op, params in self._chain[:-1]:
                levels.append(op(levels[-1], **params))
            v = new
            for x, (op, params) in zip(reversed(levels), reversed(self._chain), strict=True):
                v = op.put(x, v, **params)
        return v


def wrap(value: Any, node: Any = None) -> Tensor:
    """A Tensor of an array, without a copy."""
    out = Tensor.__new__(Tensor)
    out._value = value if type(value) is np.ndarray else _array(value)
    if node is not None:
        out._node = node
    return out


def repeats(array: Any) -> bool:
    """Whether several elements of an array are one place in memory."""
    strides = zip(array.strides, array.shape, strict=True)
    return bool(array.size) and any(s == 0 and n > 1 for s, n in strides)


def _array(value: Any) -> Any:
    return value if isinstance(value, GraphNode) else np.asarray(value)


def constant(array: Any) -> Tensor:
    """A Tensor of an array that Python made: a constant where a function is being recorded."""
    trace = current.trace
    return wrap(array if trace is None else trace.constant(array))


def history(op: Op, inputs: Sequence[Any], params: Params) -> Tensor:
    """Records a call of an op whose rule reads no values, and computes nothing.

    The memory is written by itself; only how it came about is to be remembered.
    """
    assert op.saves == NOTHING, f"{op.name} can't be part of the history of a view"
    spec = op.spec(*inputs, **params)
    out = wrap(np.broadcast_to(np.zeros((), spec.dtype), spec.shape))
    edges = tuple([x._node_now() for x in inputs])
    if any(edge is not None for edge in edges):
        shapes = tuple([saved(x, 1) for x in inputs])
        out._node = Node(op, shapes, params, edges, current.module, False, None, None)
    return out


def saved(x: Any, keep: int) -> Any:
    """What the tape holds of an input: its value, its shape, or nothing."""
    if keep == 2 or not isinstance(x, Tensor):
        return x
    return Spec(x._value.shape, x._value.dtype) if keep else None
