"""What random programs are drawn from: each move adds a line or more to a program."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from chainrule import dtypes, ops
from chainrule.ops.core import Spec
from chainrule.ops.window import Grid
from compiler.drawn import FLOATS, LARGEST, TYPES, Drawn, Ref


def unary(p):
    x = p.some_float()
    if x is None:
        return
    name = p.pick("tanh", "sigmoid", "exp", "log", "rsqrt", "sqrt", "neg", "mul", "pow", "relu",
                  "abs", "round")  # fmt: skip
    if name in ("relu", "abs", "round", "sign", "floor"):
        if p.exact[x.number] or (name in ("relu", "abs") and not p.smooth):
            p.do(getattr(ops, name), x)
    elif name == "exp":
        p.do(ops.exp, p.do(ops.tanh, x, exact=False), exact=False)
    elif name in ("log", "rsqrt", "sqrt"):
        positive = p.do(ops.add, p.do(ops.mul, x, x), 0.5)
        p.do(getattr(ops, name), positive, exact=name == "sqrt")
    elif name == "pow":
        p.do(ops.pow, p.do(ops.tanh, x, exact=False), p.pick(2, 3, 4.0), exact=False)
    elif name == "mul":
        p.do(ops.mul, x, p.pick(0.5, -2.0, 1.0, 3))
    else:
        p.do(getattr(ops, name), x, exact=name == "neg")


def binary(p):
    x = p.some()
    y = p.pick(p.some(), 2, -0.5, p.some())
    op = p.pick(ops.add, ops.sub, ops.mul, ops.div, ops.maximum, ops.minimum)
    pair = p.pick((x, y), (y, x))
    types = {p.spec(r).dtype.kind for r in pair if isinstance(r, Ref)}
    kinky = op in (ops.maximum, ops.minimum)
    if kinky and p.smooth and not all(p.exact[r.number] for r in pair if isinstance(r, Ref)):
        return
    if (op is ops.sub and types == {"b"}) or not meet(p, *pair):
        return
    if op is ops.div:
        if "f" not in types:
            return
        if isinstance(pair[1], Ref):
            square = p.do(ops.mul, pair[1], pair[1])
            pair = pair[0], p.do(ops.add, p.do(ops.cast, square, dtype=dtypes.float64), 1.0)
    p.do(op, *pair)


def meet(p, *operands):
    known = [p.spec(x).shape for x in operands if isinstance(x, Ref)]
    try:
        shape = np.broadcast_shapes(*known)
    except ValueError:
        return False
    return math.prod(shape) <= LARGEST


def logic(p):
    x, y = p.some(exact=True), p.some(exact=True)
    if x is None or not meet(p, x, y):
        return
    op = p.pick(ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge, ops.logical_and, ops.logical_or,
                ops.logical_xor, ops.logical_not)  # fmt: skip
    p.do(op, *((x,) if op is ops.logical_not else (x, y)))


def choice(p):
    c = p.some(lambda s: s.dtype.kind == "b")
    a, b = p.some(), p.pick(p.some(), 0.0, 7)
    if c is not None and meet(p, c, a, b):
        p.do(ops.where, c, a, b)


def cast(p):
    x = p.some(exact=True)
    if x is not None:  # what nan is as a whole number, no two processors agree on
        p.do(ops.cast, x, dtype=p.pick(*(FLOATS if p.special else TYPES)))


def view(p):
    x = p.some()
    shape = p.spec(x).shape
    kind = p.pick("permute", "flip", "reshape", "expand", "slice", "pad")
    if kind == "permute":
        p.do(ops.permute, x, axes=tuple(p.draw(st.permutations(range(len(shape))))))
    elif kind == "flip" and shape:
        p.do(ops.flip, x, axis=tuple(sorted(p.draw(st.sets(st.integers(0, len(shape) - 1))))))
    elif kind == "reshape":
        p.do(ops.reshape, x, shape=other_shape(p, shape))
    elif kind == "expand":
        wide = tuple(p.pick(2, 3, 17) if n == 1 else n for n in shape)
        wide = (*p.pick((), (2,), (3, 1)), *wide)
        if math.prod(wide) <= LARGEST:
            p.do(ops.expand, x, shape=wide)
    elif kind == "slice":
        p.do(ops.slice_, x, ranges=ranges(p, shape))
    elif kind == "pad":
        widths = tuple((p.pick(0, 1, 2), p.pick(0, 0, 3)) for _ in shape)
        p.do(ops.pad, x, widths=widths, value=p.pick(0.0, 1.0))


def ranges(p, shape):
    found = []
    for n in shape:
        start = p.draw(st.integers(0, n))
        stop = p.draw(st.integers(start, n))
        found.append(p.pick((start, stop, p.pick(1, 2, 3)), (0, n, 1), (0, n, 1)))
    return tuple(found)


def other_shape(p, shape):
    """Another shape of as many elements: prime factors dealt out anew."""
    size = math.prod(shape)
    if size == 0:
        return p.pick((0,), (2, 0), (0, 3, 1))
    dims = [1] * p.pick(1, 2, 3, 4)
    n, factor = size, 2
    while n > 1:
        if n % factor:
            factor += 1
            continue
        n //= factor
        dims[p.draw(st.integers(0, len(dims) - 1))] *= factor
    return tuple(dims)


def join(p):
    x = p.some(lambda s: len(s.shape) > 0)
    if x is None:
        return
    shape, dtype = p.spec(x)
    axis = p.draw(st.integers(0, len(shape) - 1))
    rest = shape[:axis] + shape[axis + 1 :]
    y = p.some(lambda s: len(s.shape) == len(shape) and s.dtype == dtype
               and s.shape[:axis] + s.shape[axis + 1 :] == rest)  # fmt: skip
    p.do(ops.concat, x, y, *p.pick((), (x,), (x, y, x)), axis=axis)


def put(p):
    x = p.some()
    shape, dtype = p.spec(x)
    places = ranges(p, shape)
    part = tuple(len(range(*r)) for r in places)
    p.do(ops.put_slice, x, p.input(part, dtype), ranges=places)


def indexed(p):
    x = p.some(lambda s: len(s.shape) > 0 and 0 not in s.shape)
    if x is None:
        return
    shape, dtype = p.spec(x)
    axis = p.draw(st.integers(0, len(shape) - 1))
    kind = p.pick("index_select", "gather", "index_add", "scatter_add", "index_put", "one_hot")
    whole = p.pick(dtypes.int64, dtypes.int32)
    if kind == "index_select":
        index = p.input(p.shape(0, 2), whole, shape[axis])
        p.do(ops.index_select, x, index, axis=axis)
    elif kind == "gather":
        sizes = tuple(p.pick(1, 4) if d == axis else p.pick(n, max(n - 1, 1))
                      for d, n in enumerate(shape))  # fmt: skip
        p.do(ops.gather, x, p.input(sizes, whole, shape[axis]), axis=axis)
    elif kind == "index_add":
        size = p.pick(1, 3, 17)
        index = p.input((shape[axis],), whole, size)
        p.do(ops.index_add, x, index, axis=axis, size=size, exact=False)
    elif kind == "scatter_add":
        wide = tuple(p.pick(1, 5) if d == axis else n for d, n in enumerate(shape))
        index = p.input(shape, whole, wide[axis])
        p.do(ops.scatter_add, x, index, axis=axis, shape=wide, exact=shape[axis] == 1)
    elif kind == "index_put":
        n = math.prod(shape)
        flat = p.do(ops.reshape, x, shape=(n,))
        index = p.take(p.rng.permutation(n)[: max(n // 2, 1)].astype(whole))
        p.do(ops.index_put, flat, p.input((max(n // 2, 1),), dtype), index)
    else:
        p.do(ops.one_hot, p.input(p.shape(0, 2), whole, 5), classes=5, dtype=p.pick(*TYPES))


def reduction(p):
    x = p.some(lambda s: len(s.shape) > 0)
    if x is None:
        return
    shape, dtype = p.spec(x)
    axis = tuple(sorted(p.draw(st.sets(st.integers(0, len(shape) - 1)))))
    keepdim = p.draw(st.booleans())
    kind = p.pick("sum", "max", "min", "prod", "softmax", "log_softmax", "logsumexp", "cumsum",
                  "argmax", "argsort")  # fmt: skip
    whole = dtype.kind != "f"
    if kind in ("softmax", "log_softmax"):
        if not whole:
            p.do(getattr(ops, kind), x, axis=p.pick(*range(len(shape))), exact=False)
    elif kind == "cumsum":
        p.do(ops.cumsum, x, axis=p.pick(*range(len(shape))), exact=whole)
    elif kind in ("argmax", "argsort"):
        axis = p.pick(*range(len(shape)))
        if p.exact[x.number] and shape[axis] and math.prod(shape) < 500:
            more = {"descending": p.draw(st.booleans())} if kind == "argsort" else {}
            p.do(getattr(ops, kind), x, axis=axis, **more)
    elif kind == "prod":
        small = x if whole else p.do(ops.tanh, x, exact=False)
        if math.prod(shape[a] for a in axis) <= 17:
            p.do(ops.prod, small, axis=axis, keepdim=keepdim, exact=whole)
    elif kind == "logsumexp":
        if not whole and all(shape[a] for a in axis):
            p.do(ops.logsumexp, x, axis=axis, keepdim=keepdim, exact=False)
    elif kind == "sum":
        p.do(ops.sum, x, axis=axis, keepdim=keepdim, exact=whole)
    elif all(shape[a] for a in axis) and (p.exact[x.number] or not p.smooth):
        p.do(getattr(ops, kind), x, axis=axis, keepdim=keepdim)


def product(p, sizes=(0, 1, 2, 3, 5, 17, 33), batches=((), (), (2,), (3, 2), (1,)), most=4000):
    x = p.pick(p.some(lambda s: len(s.shape) >= 2 and s.dtype.kind != "b"), None)
    ta, tb = p.draw(st.booleans()), p.draw(st.booleans())
    if x is None:
        m, k = p.pick(*sizes), p.pick(*sizes)
        batch, dtype = p.pick(*batches), p.pick(*FLOATS, dtypes.float32, dtypes.int64)
        x = p.input((*batch, k, m) if ta else (*batch, m, k), dtype)
    shape, dtype = p.spec(x)
    *batch, m, k = (*shape[:-2], shape[-1], shape[-2]) if ta else shape
    n = p.pick(*sizes)
    y = p.pick(None, p.some(lambda s: s == Spec((*batch, n, k) if tb else (*batch, k, n), dtype)))
    if math.prod(batch) * m * n > most or math.prod(batch) * k * n > most:
        return
    y = y or p.input((*batch, n, k) if tb else (*batch, k, n), dtype)
    p.do(ops.matmul, x, y, ta=ta, tb=tb, exact=dtype.kind != "f")


def large_product(p):
    product(p, (16, 17, 33, 40, 64, 5, 100, 130), ((), (), (), (2,)), 10_000)


def window(p):
    x = p.some(lambda s: len(s.shape) >= 1 and s.shape[-1] >= 3)
    if x is None:
        return
    grid = Grid((p.pick(2, 3),), (p.pick(1, 2),), (p.pick(0, 1),), (1,))
    y = p.do(ops.windows, x, grid=grid)
    if p.pick(True, False) and p.spec(x).dtype.kind == "f":
        p.do(ops.fold, y, grid=grid, sizes=p.spec(x).shape[-1:], exact=False)


MOVES = (unary, unary, binary, binary, binary, view, view, view, reduction, reduction, product,
         large_product, indexed, indexed, logic, choice, cast, join, put, window)  # fmt: skip
PRODUCTS = (large_product, large_product, unary, binary, view)
PLAIN = (unary, binary, choice, logic, cast, reduction, view)


@st.composite
def programs(draw, smooth=False, moves=MOVES, length=7, special=False):
    """A program with one to three first inputs, some moves, and one to three outputs."""
    p = Drawn(draw, smooth, special)
    shape = p.shape()
    for _ in range(p.pick(1, 2, 3)):
        p.input(p.pick(shape, shape, p.shape()), p.pick(*(FLOATS if smooth else TYPES)))
    for _ in range(p.draw(st.integers(1, length))):
        p.pick(*moves)(p)
    found = range(len(p.specs))[::-1]
    last = len(found) - 1
    p.outputs = [last, *draw(st.lists(st.sampled_from(found), max_size=2))]
    return p


@st.composite
def updating(draw, moves=PLAIN, length=6):
    """A program that writes into its inputs: exchanged, chained, from values that read others."""
    p = Drawn(draw)
    shape, dtype = p.shape(1, 3), p.pick(*TYPES)
    for _ in range(p.pick(2, 3)):
        p.input(shape, dtype)
    for _ in range(draw(st.integers(0, length))):
        p.pick(*moves)(p)
        p.pick(same_place, binary_alike)(p)
    targets = [n for n, i in enumerate(p.inputs) if i >= 0]
    for i in targets:
        spec = p.specs[i]
        fitting = [Ref(v) for v, s in enumerate(p.specs) if s == spec]
        chosen = p.pick(*fitting[::-1], None, 1)
        if chosen is not None:
            p.updates.append((i, chosen))
    p.outputs = draw(st.lists(st.sampled_from(range(len(p.specs))), max_size=2))
    return p


def same_place(p):
    """A value of an input's own shape, read straight or askew."""
    shape = p.specs[0].shape
    x = p.some(lambda s: s == p.specs[0])
    turn = p.pick("flip", "mul", "mul", "slice")
    if turn == "flip":
        p.do(ops.flip, x, axis=(0,))
    elif turn == "mul":
        p.do(ops.mul, x, p.pick(2, 3))
    elif shape[0] > 1:
        ranges = ((1, shape[0], 1), *((0, n, 1) for n in shape[1:]))
        part = p.do(ops.slice_, x, ranges=ranges)
        p.do(ops.pad, part, widths=((0, 1), *((0, 0) for _ in shape[1:])), value=0.0)


def binary_alike(p):
    x, y = (p.some(lambda s: s == p.specs[0]) for _ in range(2))
    p.do(p.pick(ops.add, ops.mul, ops.maximum), x, y)
