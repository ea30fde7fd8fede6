"""Products of vectors, matrices and batches of them."""

from __future__ import annotations

import math

from .. import ops
from ..errors import DTypeError, ShapeError
from ..ops.core import Value, broadcast_shapes
from .arguments import need_values


def matmul(a: Value, b: Value) -> Value:
    """The matrix product with PyTorch's rules for every rank.

    Two vectors give their dot product; a vector counts as a row on the left and as a column on the
    right; leading dimensions broadcast.  a (.., M, K), b (.., K, N) -> (.., M, N).
    """
    if a.dtype != b.dtype:
        raise DTypeError(
            "matmul: the operands have different dtypes",
            expected="one dtype",
            got=f"{a.dtype.name} {a.shape} and {b.dtype.name} {b.shape}",
            fix=f"first.to(chainrule.{b.dtype.name}) or second.to(chainrule.{a.dtype.name})",
        )
    na, nb = len(a.shape), len(b.shape)
    if na == 2 and nb == 2:
        return ops.matmul(a, b)
    if not na or not nb:
        raise ShapeError(
            "matmul: both operands need at least one dimension", got=f"{a.shape} and {b.shape}"
        )
    left = ops.reshape(a, shape=(1, *a.shape)) if na == 1 else a
    right = ops.reshape(b, shape=(*b.shape, 1)) if nb == 1 else b
    if left.shape[-1] != right.shape[-2]:
        raise ShapeError(
            "matmul: the inner sizes differ",
            expected="a (.., M, K) and b (.., K, N)",
            got=f"a {a.shape} and b {b.shape}",
        )
    y = _batched(left, right)
    drop = {len(y.shape) - 2} if na == 1 else set()
    drop |= {len(y.shape) - 1} if nb == 1 else set()
    return ops.reshape(
        y, shape=tuple(n for i, n in enumerate(y.shape) if i not in drop)
    ) if drop else y  # fmt: skip


def _batched(a: Value, b: Value) -> Value:
    if len(b.shape) == 2 and len(a.shape) > 2:  # one matrix for all: fold the batch into the rows
        rows = ops.reshape(a, shape=(math.prod(a.shape[:-1]), a.shape[-1]))
        return ops.reshape(ops.matmul(rows, b), shape=(*a.shape[:-1], b.shape[-1]))
    batch = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
    wide_a, wide_b = (*batch, *a.shape[-2:]), (*batch, *b.shape[-2:])
    a = a if a.shape == wide_a else ops.expand(a, shape=wide_a)
    b = b if b.shape == wide_b else ops.expand(b, shape=wide_b)
    return ops.matmul(a, b)


def mm(a: Value, b: Value) -> Value:
    """The product of two matrices, without broadcasting."""
    _need_rank("mm", a, b, 2)
    return matmul(a, b)


def bmm(a: Value, b: Value) -> Value:
    """The products of two batches of matrices, without broadcasting."""
    _need_rank("bmm", a, b, 3)
    return matmul(a, b)


def mv(a: Value, x: Value) -> Value:
    """The product of a matrix and a vector."""
    return matmul(a, x)


def dot(a: Value, b: Value) -> Value:
    """The sum of the products of two vectors."""
    _need_rank("dot", a, b, 1)
    return matmul(a, b)


def outer(a: Value, b: Value) -> Value:
    """All products a_i b_j of two vectors: (M,), (N,) -> (M, N)."""
    _need_rank("outer", a, b, 1)
    return ops.reshape(a, shape=(a.shape[0], 1)) * ops.reshape(b, shape=(1, b.shape[0]))


def addmm(c: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """beta c + alpha a b."""
    y = matmul(a, b)
    return c * beta + (y if alpha == 1 else y * alpha)


def _need_rank(name: str, a: Value, b: Value, rank: int) -> None:
    if len(a.shape) != rank or len(b.shape) != rank:
        raise ShapeError(
            f"{name}: both operands must have {rank} dimensions", got=f"{a.shape} and {b.shape}"
        )


def linear(input: Value, weight: Value, bias: Value | None = None) -> Value:
    """y = x W^T + b, with x (.., in), W (out, in), b (out), y (.., out).

    >>> import chainrule
    >>> x, W = chainrule.tensor([[1.0, 2.0]]), chainrule.tensor([[3.0, 4.0]])
    >>> chainrule.nn.functional.linear(x, W, chainrule.tensor([0.5]))
    tensor([[11.5000]])

    Raises where x's last size is not W's, or the dtypes differ.  As in PyTorch.
    """
    try:
        shape, wshape = input.shape, weight.shape
    except AttributeError:
        need_values("linear", input=input, weight=weight)
        raise
    if len(wshape) != 2 or not shape or shape[-1] != wshape[1]:
        raise _inner_sizes(shape, wshape)
    if input.dtype is not weight.dtype and input.dtype != weight.dtype:  # equal ones may be two
        need_values("linear", input=input, weight=weight)
        raise _dtypes_differ(input, weight)
    if len(shape) == 2:
        y = ops.matmul(input, weight, tb=True)
    else:
        rows = math.prod(shape[:-1])
        flat = ops.matmul(ops.reshape(input, shape=(rows, shape[-1])), weight, tb=True)
        y = ops.reshape(flat, shape=(*shape[:-1], wshape[0]))
    if bias is None:
        return y
    # `add` would find the shapes and insert the same `expand` itself, at five times the cost
    same = bias.shape == wshape[:1] and bias.dtype == y.dtype
    return ops.add(y, ops.expand(bias, shape=y.shape) if same else bias)


def _inner_sizes(shape: tuple[int, ...], wshape: tuple[int, ...]) -> ShapeError:
    if len(wshape) != 2:
        return ShapeError("linear: the weight is no matrix", expected="(out, in)", got=f"{wshape}")
    n_in = wshape[1]
    fix = f"Linear({shape[-1] if shape else 1}, {wshape[0]})"
    if len(shape) > 2 and math.prod(shape[1:]) == n_in:
        fix = "x.flatten(1): the other dimensions hold the features"
    elif len(shape) > 1 and math.prod(shape) == n_in:
        fix = f"x.reshape(1, {n_in}): one example is a batch of one"
    elif len(shape) == 2 and shape[0] == n_in:
        fix = "x.T: the input lies transposed"
    return ShapeError(
        "linear: inner sizes differ",
        expected=f"x (*, {n_in}) for weight {wshape}",
        got=f"x {shape}",
        fix=fix,
    )


def _dtypes_differ(x: Value, weight: Value) -> DTypeError:
    way = ".float()" if weight.dtype.name == "float32" else ".double()"
    return DTypeError(
        "linear: input and weight have different dtypes",
        expected=f"x {weight.dtype.name}, as the weight",
        got=f"x {x.dtype.name}",
        fix=f"x{way}, or model.to(chainrule.{x.dtype.name})" if x.dtype.kind == "f" else f"x{way}",
    )
