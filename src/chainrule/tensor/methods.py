"""What can be written after a dot: each method is one call of an op or of a function.

In-place methods (`add_`, `x += y`, `x[i] = v`) compute the new value by the ordinary op and write
it where the old one stood; see `Tensor._write` for what that means for the history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functional as F
from .. import ops
from ..errors import ArgumentTypeError, DTypeError, ShapeError
from ..ops.core import Op, current
from . import autograd, core, later
from .conversion import Conversions


def _op(op: Op) -> Callable[..., Any]:
    def method(self: Any, *args: Any) -> Any:
        return op(self, *args)

    return _described(method, op.name, type(op).__doc__)


def _function(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    return _described(method, function.__name__, function.__doc__)


def _functions(*functions: Callable[..., Any]) -> list[Callable[..., Any]]:
    return [_function(f) for f in functions]


def _described(method: Callable[..., Any], name: str, doc: str | None) -> Callable[..., Any]:
    method.__name__ = name
    method.__doc__ = doc
    return method


def _reflected(op: Op) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        return op(other, self)

    return _described(method, f"r{op.name}", type(op).__doc__)


def _in_place(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._check_writable(name)
        before = self._before_write((*args, *kwargs.values()))
        return self._write(getattr(before, name[:-1])(*args, **kwargs), name)

    return _described(method, name, f"`{name[:-1]}`, written into this tensor; returns it.")


def _in_places(*names: str) -> list[Callable[..., Any]]:
    return [_in_place(n) for n in names]


def _assigning(name: str, operator: str) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        self._check_writable(name)
        return self._write(getattr(self._before_write((other,)), operator)(other), name)

    return _described(method, name, f"`{operator}`, written into this tensor.")


def _of_bools(sign: str, op: Op) -> Callable[..., Any]:
    def method(self: Any, *other: Any) -> Any:
        for x in (self, *other):
            dtype = getattr(x, "dtype", np.dtype(type(x)) if isinstance(x, (bool, int)) else None)
            if dtype is None or dtype.kind != "b":
                raise DTypeError(
                    f"{sign}: works on bool tensors only, not bit by bit",
                    expected="bool",
                    got=type(x).__name__ if dtype is None else dtype.name,
                    fix=f"chainrule.{op.name}(...), or .bool() first",
                )
        return op(self, *other)

    return _described(method, sign, type(op).__doc__)


def _without_leading_ones(value: Any, ndim: int) -> Any:
    """A value of x[...] = v with at most ndim dimensions, where those in front are of size 1."""
    shape = getattr(value, "shape", ())
    extra = len(shape) - ndim
    drop = extra > 0 and all(n == 1 for n in shape[:extra])
    return F.reshape(value, shape[extra:]) if drop else value


def _comparable(other: object) -> bool:
    """Whether == compares element by element; with anything else a tensor is just unequal."""
    return hasattr(other, "_value") or isinstance(other, (bool, int, float, np.generic))


class TensorMethods(Conversions):
    """The surface of Tensor; `core.Tensor` holds what a tensor is."""

    _value: Any

    # ------------------------------------------------------------ arithmetic
    __add__, add = _op(ops.add), _function(F.add)
    __radd__ = _reflected(ops.add)
    __sub__ = _op(ops.sub)
    sub = subtract = _function(F.sub)
    __rsub__ = _reflected(ops.sub)
    __mul__ = mul = multiply = _op(ops.mul)
    __rmul__ = _reflected(ops.mul)
    __truediv__ = true_divide = _op(ops.div)
    div = divide = _function(F.div)
    __rtruediv__ = _reflected(ops.div)
    __floordiv__ = floor_divide = _op(ops.floor_div)
    __rfloordiv__ = _reflected(ops.floor_div)
    __pow__ = pow = _op(ops.pow)
    __rpow__ = _reflected(ops.pow)
    __mod__ = remainder = _op(ops.remainder)
    __rmod__ = _reflected(ops.remainder)
    __matmul__ = matmul = _function(F.matmul)
    __neg__ = neg = negative = _op(ops.neg)
    __abs__ = abs = absolute = _op(ops.abs)
    __lt__ = lt = _op(ops.lt)
    __le__ = le = _op(ops.le)
    __gt__ = gt = _op(ops.gt)
    __ge__ = ge = _op(ops.ge)
    eq = _op(ops.eq)
    ne = _op(ops.ne)
    logical_and, logical_or = _op(ops.logical_and), _op(ops.logical_or)
    logical_xor, logical_not = _op(ops.logical_xor), _op(ops.logical_not)
    __and__ = __rand__ = _of_bools("&", ops.logical_and)
    __or__ = __ror__ = _of_bools("|", ops.logical_or)
    __xor__ = __rxor__ = _of_bools("^", ops.logical_xor)
    __invert__ = _of_bools("~", ops.logical_not)
    __hash__ = object.__hash__
    __array_priority__ = 1000  # a NumPy number on the left leaves the operator to the tensor

    def __eq__(self, other: object) -> Any:
        return ops.eq(self, other) if _comparable(other) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return ops.ne(self, other) if _comparable(other) else NotImplemented

    def __pos__(self) -> Any:
        return self

    # ------------------------------------------------------------ elementwise
    exp, log, sqrt, rsqrt = _op(ops.exp), _op(ops.log), _op(ops.sqrt), _op(ops.rsqrt)
    expm1, log1p = _op(ops.expm1), _op(ops.log1p)
    sin, cos, tanh, erf = _op(ops.sin), _op(ops.cos), _op(ops.tanh), _op(ops.erf)
    sigmoid, relu = _op(ops.sigmoid), _op(ops.relu)
    sign, floor, round = _op(ops.sign), _op(ops.floor), _function(F.round)
    maximum, minimum = _op(ops.maximum), _op(ops.minimum)
    square, reciprocal, ceil = _function(F.square), _function(F.reciprocal), _function(F.ceil)
    trunc, frac, tan, exp2 = _functions(F.trunc, F.frac, F.tan, F.exp2)
    log2, log10, lerp = _function(F.log2), _function(F.log10), _function(F.lerp)
    clamp = clip = _function(F.clamp)
    addcmul, addcdiv, addmm = _function(F.addcmul), _function(F.addcdiv), _function(F.addmm)
    isnan, isinf, isfinite = _function(F.isnan), _function(F.isinf), _function(F.isfinite)
    nan_to_num = _function(F.nan_to_num)
    softmax, log_softmax = _function(F.softmax), _function(F.log_softmax)

    def where(self, condition: Any, other: Any) -> Any:
        """self where condition, else other."""
        return ops.where(condition, self, other)

    def masked_fill(self, mask: Any, value: Any) -> Any:
        """value where mask, else self."""
        return ops.where(mask, value, self)

    # ------------------------------------------------------------ reductions
    sum, mean, var, std, norm = _functions(F.sum, F.mean, F.var, F.std, F.norm)
    max, min, amax, amin = _functions(F.max, F.min, F.amax, F.amin)
    argmax, argmin, prod = _functions(F.argmax, F.argmin, F.prod)
    any, all, logsumexp, cumsum = _functions(F.any, F.all, F.logsumexp, F.cumsum)
    sort, argsort, topk, median = _functions(F.sort, F.argsort, F.topk, F.median)

    # ------------------------------------------------------------ shapes
    reshape, flatten, unflatten = _functions(F.reshape, F.flatten, F.unflatten)
    squeeze, unsqueeze, permute = _functions(F.squeeze, F.unsqueeze, F.permute)
    transpose, movedim, expand = _functions(F.transpose, F.movedim, F.expand)
    swapaxes = swapdims = transpose
    repeat, narrow, select, roll = _functions(F.repeat, F.narrow, F.select, F.roll)
    split, chunk, unbind, flip = _functions(F.split, F.chunk, F.unbind, F.flip)
    mm, bmm, mv, dot, outer = _functions(F.mm, F.bmm, F.mv, F.dot, F.outer)
    broadcast_to = _function(F.broadcast_to)
    gather, index_select = _function(F.gather), _function(F.index_select)
    scatter_add, tril, triu = _functions(F.scatter_add, F.tril, F.triu)

    @property
    def T(self) -> Any:
        """The transposed matrix."""
        if len(self._value.shape) > 2:
            raise ShapeError(".T is for matrices", got=str(self._value.shape),
                             fix=".mT for the last two dimensions, or .permute(...)")  # fmt: skip
        return ops.permute(self, axes=tuple(range(len(self._value.shape)))[::-1])

    @property
    def mT(self) -> Any:
        """The last two dimensions swapped."""
        return F.transpose(self, -2, -1)

    def t(self) -> Any:
        """The transposed matrix."""
        return self.T

    def view(self, *shape: Any) -> Any:
        """The same memory under another shape; raises where that needs a copy."""
        y = F.reshape(self, *shape)
        if y is not self and y._base is None:
            raise ShapeError(
                "view: this shape can't be laid over the memory as it stands",
                got=f"{self._value.shape} with strides {getattr(self._value, 'strides', '?')}",
                fix=".reshape(...), or .contiguous() first",
            )
        return y

    def view_as(self, other: Any) -> Any:
        """`view` under another tensor's shape."""
        return self.view(other.shape)

    def reshape_as(self, other: Any) -> Any:
        """`reshape` to another tensor's shape."""
        return F.reshape(self, other.shape)

    def expand_as(self, other: Any) -> Any:
        """`expand` to another tensor's shape."""
        return F.expand(self, other.shape)

    def contiguous(self) -> Any:
        """This tensor if it lies in row-major order, else a copy that does."""
        if self.is_contiguous():
            return self
        return F.reshape(F.reshape(self, -1), self._value.shape)

    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order."""
        trace = current.trace
        if trace is not None:
            return bool(trace.reshapes_in_place(self, (self._value.size,)))
        return bool(self._value.flags.c_contiguous)

    def clone(self) -> Any:
        """A copy; the gradient flows through."""
        return ops.cast(self, dtype=self._value.dtype)

    # ------------------------------------------------------------ indexing
    def __getitem__(self, key: Any) -> Any:
        if current.trace is not None:
            from ..functional import traced_indexing as T  # loaded when first used

            key = T.with_constants(key)
            if T.has_values(key):
                return T.read_places(self, key)
        rows = F.row_index(self, key)
        if rows is not None:
            return ops.index_select(self, core.constant(rows), axis=0)
        y = F.basic(self, key)
        if y is not None:
            return y
        flat = ops.reshape(self, shape=(self.numel(),))
        return ops.index_select(flat, core.constant(F.places(self, key)), axis=0)

    def __setitem__(self, key: Any, value: Any) -> None:
        me: Any = self
        me._check_writable("x[...] = v")
        if current.trace is not None:
            from ..functional import traced_indexing as T  # loaded when first used

            key = T.with_constants(key)
            if T.has_values(key):
                me._write(T.written_places(me._before_write((value,)), key, value), "x[...] = v")
                current.trace.settle(value)
                return
        view = F.basic(self, key)
        if view is not None:
            view.copy_(_without_leading_ones(value, view.ndim))
            return
        index = F.places(self, key)
        if isinstance(value, (bool, int, float, np.generic)):
            value = core.constant(np.full(index.shape, value, self._value.dtype))
        elif not hasattr(value, "_value"):
            raise ArgumentTypeError(
                "x[...] = v: v must be a Tensor or a number", got=type(value).__name__
            )
        value = _without_leading_ones(value.to(self._value.dtype), index.ndim)
        value = F.expand(value, index.shape)
        flat = ops.reshape(self, shape=(self.numel(),))
        new = ops.index_put(flat, value, core.constant(index))
        me._write(ops.reshape(new, shape=self._value.shape), "x[...] = v")

    def copy_(self, source: Any) -> Any:
        """Writes the values of another tensor (broadcast and cast) into this one."""
        me: Any = self
        me._check_writable("copy_")
        if isinstance(source, (bool, int, float, np.generic)):
            source = core.constant(np.full((), source, self._value.dtype))
        if not hasattr(source, "_value"):
            raise ArgumentTypeError("copy_: needs a Tensor", got=type(source).__name__)
        new = source if source.dtype == self._value.dtype else source.to(self._value.dtype)
        new = F.expand(new, self._value.shape)
        before = me._before_write((source,))
        if before._node is not None:  # what stood here before gets the gradient 0, as in PyTorch
            new = ops.put_slice(before, new, ranges=tuple((0, n, 1) for n in new.shape))
        elif new is source and before is not me:
            new = new.clone()  # an operation of its own: the source keeps its hooks for itself
        return me._write(new, "copy_")

    def fill_(self, value: float) -> Any:
        """Writes one number into every element."""
        me: Any = self
        me._check_writable("fill_")
        return self.copy_(value)

    def zero_(self) -> Any:
        """Writes 0 into every element."""
        me: Any = self
        me._check_writable("zero_")
        return self.copy_(0)

    add_, sub_, mul_, div_ = _in_places("add_", "sub_", "mul_", "div_")
    pow_, neg_, abs_, exp_, log_ = _in_places("pow_", "neg_", "abs_", "exp_", "log_")
    sqrt_, rsqrt_, square_, sin_ = _in_places("sqrt_", "rsqrt_", "square_", "sin_")
    cos_, tanh_, sigmoid_, relu_ = _in_places("cos_", "tanh_", "sigmoid_", "relu_")
    clamp_, floor_, ceil_, round_ = _in_places("clamp_", "floor_", "ceil_", "round_")
    addcmul_, addcdiv_, lerp_ = _in_places("addcmul_", "addcdiv_", "lerp_")
    masked_fill_, reciprocal_ = _in_place("masked_fill_"), _in_place("reciprocal_")
    __iadd__, __isub__ = _assigning("+=", "__add__"), _assigning("-=", "__sub__")
    __imul__, __itruediv__ = _assigning("*=", "__mul__"), _assigning("/=", "__truediv__")
    __ifloordiv__, __imod__ = _assigning("//=", "__floordiv__"), _assigning("%=", "__mod__")
    __ipow__ = _assigning("**=", "__pow__")

    # ------------------------------------------------------------ gradients
    def backward(
        self,
        gradient: Any = None,
        retain_graph: Any = None,
        create_graph: Any = False,
        inputs: Any = None,
    ) -> None:
        """Adds dL/dx to x.grad for every leaf x that this tensor L was computed from."""
        me: Any = self
        autograd.backward(me, gradient, retain_graph, create_graph, inputs)

    def explain(self, entry: str | None = None, model: Any = None, **options: Any) -> Any:
        """The derivation of a gradient of this loss, before backward(): see `chainrule.explain`."""
        return later.functions["explain"](self, entry, model, **options)

    def register_hook(self, hook: Callable[[Any], Any]) -> Any:
        """Calls `hook(gradient)` in backward(); what it returns replaces the gradient."""
        me: Any = self
        return autograd.register_hook(me, hook)

    def retain_grad(self) -> None:
        """Keeps this tensor's gradient in `.grad` although it is not a leaf."""
        me: Any = self
        autograd.retain_grad(me)
