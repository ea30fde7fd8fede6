"""Tensor: a value, its gradient, and how it was made.

`_value` is the array.  `_node` says how the tensor was made: a Node (by an op), a Leaf (the user
wants its gradient) or None (a constant).  Tensors that share memory share a Cell, which counts
writes; a view also remembers its base and the ops that lead there, so that a write through the
view becomes part of the base's history and the other way round.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import (
    ArgumentTypeError,
    ChainruleError,
    DTypeError,
    GradError,
    ShapeError,
    Site,
    user_site,
)
from ..grad import Cell, Leaf, Node, clock
from ..ops import REGISTRY
from ..ops.core import NOTHING, NUMBERS, Op, Params, Spec, State, current, interpret, quietly
from .memory import does_not_fit
from .methods import TensorMethods

_RESHAPE = REGISTRY["reshape"]


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
        if self._grad is None and type(self._node) is Node and self._node.retained is None:
            raise GradError(
                "grad: this tensor is the result of an operation, so backward() does not keep its "
                "gradient",
                got=repr(self._node),
                fix=".retain_grad() on it before backward()",
            )
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
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def data(self) -> Tensor:
        """The same memory without history; writes through it are not noticed by backward()."""
        out = wrap(self._value)
        self._note_loss(out, "taken from .data")
        return out

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ArgumentTypeError("data: a Tensor can be assigned", got=type(value).__name__)
        self._value = value._value
        self._base = None
        self._note_write()

    def detach(self) -> Tensor:
        """The same memory as a constant: no gradient flows through the result."""
        out = wrap(self._value)
        out._cell = self._shared_cell()
        self._note_loss(out, "cut off by .detach()")
        return out

    def _note_loss(self, out: Tensor, how: str) -> None:
        if self._node is not None:
            out._lost = how, user_site(3)

    def detach_(self) -> Tensor:
        """Forgets how this tensor was made, in place."""
        if self._base is not None:
            raise GradError("detach_: a view can't forget its base", fix=".detach()")
        self._node = None
        return self

    def __copy__(self) -> Tensor:
        if type(self._node_now()) is Node:
            raise GradError("copy: only leaves can be copied", fix=".detach() or .clone()")
        out = Tensor.__new__(type(self))
        out._value = self._value
        out._cell = self._shared_cell()
        return out.requires_grad_(self.requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if type(self._node_now()) is Node:
            raise GradError(
                "deepcopy: only leaves can be copied with their gradient", fix=".detach().clone()"
            )
        out = wrap(self._value.copy())
        if self.requires_grad and type(self) is Tensor:
            out.requires_grad_()
        out._grad = None if self._grad is None else wrap(self._grad._value.copy())
        memo[id(self)] = out
        return out

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
                    for op, params in self._chain:
                        x = apply(op, (x,), params)
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
        strides = zip(self._value.strides, self._value.shape, strict=True)
        if self._value.size and any(s == 0 and n > 1 for s, n in strides):
            raise ShapeError(
                f"{name}: several elements of an expanded tensor share one place in memory",
                fix=".clone() before the write",
            )

    def _before_write(self, args: Sequence[Any]) -> Tensor:
        """What an in-place method computes from: a copy where a rule may read it in backward."""
        tracked = any(isinstance(x, Tensor) and x.requires_grad for x in (self, *args))
        if not (tracked and current.grad_enabled):
            return self
        return wrap(self._value.copy(), self._node_now())

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
        np.copyto(self._value, new._value)
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
        with interpret(_history):
            for op, params in self._chain[:-1]:
                levels.append(op(levels[-1], **params))
            v = new
            for x, (op, params) in zip(reversed(levels), reversed(self._chain), strict=True):
                v = op.put(x, v, **params)
        return v


def wrap(value: Any, node: Any = None) -> Tensor:
    """A Tensor of an array, without a copy."""
    out = Tensor.__new__(Tensor)
    out._value = value if type(value) is np.ndarray else np.asarray(value)
    if node is not None:
        out._node = node
    return out


# ---------------------------------------------------------------- the interpreter of op calls


def apply(op: Op, inputs: Sequence[Any], params: Params) -> Tensor:
    """What an op call means for Tensors: compute, and record if a gradient will be wanted."""
    state: State = current
    values = []
    tracked = False
    lost = None
    for x in inputs:
        if isinstance(x, Tensor):
            values.append(x._value)
            if (x._node if x._base is None else x._node_now()) is not None:
                tracked = True
            elif x._lost is not None:
                lost = x._lost
        elif type(x) in NUMBERS:
            values.append(x)
        else:
            return apply(op, [_plain(op, x) for x in inputs], params)
    if op.pointwise and not op.fits(values):
        return apply(op, op.align(inputs), params)
    try:
        if state.quiet or not op.warns:
            y = op.forward(*values, **params)
        else:
            with quietly():
                y = op.forward(*values, **params)
    except Exception as error:
        raise _explained(error, op, values, params) from error.__cause__
    out = Tensor.__new__(Tensor)
    out._value = y = y if type(y) is np.ndarray else np.asarray(y)
    if op.view and _shares_memory(op, y, values[0]):
        out._as_view(inputs[0], op, params)
    if tracked and op.differentiable and state.grad_enabled and y.dtype.kind == "f":
        edges = tuple([x._node if isinstance(x, Tensor) else None for x in inputs])
        keeps = op.keeps[op.mask_of(edges)]
        if keeps.everything:
            saved: tuple[Any, ...] = tuple(inputs)
        elif keeps.nothing:
            saved = (None,) * len(edges)
        else:
            saved = tuple([_saved(x, k) for x, k in zip(inputs, keeps.inputs, strict=False)])
        cell = out._shared_cell() if keeps.y else None
        out._node = Node(
            op, saved, params, edges, state.module, keeps.values, y if keeps.y else None, cell
        )
    elif tracked or lost is not None:
        if lost is None:
            lost = (_loss(op), user_site(2)) if state.grad_enabled else state.switched_off
        out._lost = lost
    return out


def _loss(op: Op) -> str:
    """Why the result of an op on tracked tensors is not tracked, although ops are recorded."""
    return "cast to whole numbers" if op.differentiable else f"{op.name} has no derivative"


def _history(op: Op, inputs: Sequence[Any], params: Params) -> Tensor:
    """Records a call of an op whose rule reads no values, and computes nothing.

    The memory is written by itself; only how it came about is to be remembered.
    """
    assert op.saves == NOTHING, f"{op.name} can't be part of the history of a view"
    spec = op.spec(*inputs, **params)
    out = wrap(np.broadcast_to(np.zeros((), spec.dtype), spec.shape))
    edges = tuple([x._node_now() for x in inputs])
    if any(edge is not None for edge in edges):
        shapes = tuple([_saved(x, 1) for x in inputs])
        out._node = Node(op, shapes, params, edges, current.module, False, None, None)
    return out


def _saved(x: Any, keep: int) -> Any:
    if keep == 2 or not isinstance(x, Tensor):
        return x
    return Spec(x._value.shape, x._value.dtype) if keep else None


def _explained(error: Exception, op: Op, values: list[Any], params: Params) -> Exception:
    """The op's own words where NumPy only says that it can't."""
    if isinstance(error, ChainruleError):
        return error
    if isinstance(error, MemoryError):
        return does_not_fit(op.name, op.spec(*values, **params), values)
    try:
        op.spec(*values, **params)
    except ChainruleError as explained:
        return explained
    return error


def _shares_memory(op: Op, y: Any, x: Any) -> bool:
    if op is not _RESHAPE:
        return True
    return y is x or y.base is x or (x.base is not None and y.base is x.base)


def _plain(op: Op, x: Any) -> Any:
    """A Tensor as it is, and every kind of number, NumPy's too, as a Python number."""
    if isinstance(x, Tensor) or type(x) in NUMBERS:
        return x
    if isinstance(x, np.generic) and x.dtype.kind in "fiub":
        return x.item()
    for kind in (bool, int, float):
        if isinstance(x, kind):
            return kind(x)
    raise ArgumentTypeError(
        f"{op.name}: works on Tensors and Python numbers",
        expected="a Tensor",
        got=type(x).__name__,
        fix="chainrule.tensor(x)",
    )


State.interpreter = staticmethod(apply)
