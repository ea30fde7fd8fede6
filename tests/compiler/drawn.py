"""Programs drawn at random: ops on values of all shapes and types, several outputs, updates."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from chainrule import dtypes, ops
from chainrule import graph as G
from chainrule.grad import gradients
from chainrule.ops.core import Spec, interpret, quietly, shapes
from chainrule.ops.window import Grid

FLOATS = (dtypes.float32, dtypes.float64)
TYPES = (*FLOATS, dtypes.float32, dtypes.int64, dtypes.int32, dtypes.bool_)
SIZES = (1, 2, 3, 5, 17, 33, 2, 3, 0)
LARGEST = 3000
SPECIAL = (np.inf, -np.inf, np.nan, -0.0, 0.0)


class Ref(NamedTuple):
    """The value with this number: inputs first, then lines."""

    number: int


class Line(NamedTuple):
    op: Any
    operands: tuple[Any, ...]
    params: dict[str, Any]


class Drawn:
    """A program under construction.

    exact: whether all ways of computing must agree in every bit; what rounds in the order of its
    terms, or by a spelling of our own, does not.  smooth: no kinks where a value is not exact, so
    that gradients can be compared.  special: inf, nan and -0 are among the floats.
    """

    def __init__(self, draw, smooth=False, special=False):
        self.draw = draw
        self.smooth = smooth
        self.special = special
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.arrays: list[Any] = []
        self.lines: list[Line] = []
        self.inputs: list[int] = []
        self.specs: list[Spec] = []
        self.exact: list[bool] = []
        self.outputs: list[int] = []
        self.updates: list[tuple[int, Any]] = []

    # ------------------------------------------------------------ values

    def pick(self, *options):
        return self.draw(st.sampled_from(options))

    def shape(self, least=0, most=4):
        found = tuple(self.draw(st.lists(st.sampled_from(SIZES), min_size=least, max_size=most)))
        assume(math.prod(found) <= LARGEST)
        return found

    def array(self, shape, dtype, high=None):
        """Eighths, so that sums and products of few of them are exact."""
        if high is not None:
            return self.rng.integers(0, max(high, 1), shape).astype(dtype)
        if dtype.kind == "f":
            plain = np.asarray(self.rng.integers(-16, 17, shape) / 8, dtype)
            if self.special:
                odd = self.rng.choice(SPECIAL, shape)
                plain = np.where(self.rng.random(shape) < 0.4, odd, plain).astype(dtype)
            return np.asarray(plain)
        return np.asarray(self.rng.integers(-4, 5, shape)).astype(dtype)

    def input(self, shape, dtype, high=None):
        return self.take(self.array(shape, dtype, high))

    def take(self, array):
        self.arrays.append(np.ascontiguousarray(array).reshape(np.shape(array)))
        self.inputs.append(len(self.specs))
        return self.value(Spec(array.shape, array.dtype), True)

    def value(self, spec, exact):
        self.specs.append(spec)
        self.exact.append(exact)
        return Ref(len(self.specs) - 1)

    def spec(self, x):
        return self.specs[x.number] if isinstance(x, Ref) else x

    def do(self, op, *operands, exact=True, **params):
        """One line; its value is exact where its operands are and the op rounds each result."""
        refs = [x for x in operands if isinstance(x, Ref)]
        with interpret(shapes):
            told = op(*map(self.spec, operands), **params)
        assume(math.prod(told.shape) <= 4 * LARGEST)
        self.lines.append(Line(op, operands, params))
        self.inputs.append(-1)
        self.specs.append(told)
        self.exact.append(exact and all(self.exact[x.number] for x in refs))
        return Ref(len(self.specs) - 1)

    def some(self, test=lambda s: True, exact=False):
        """A value that passes a test, or None."""
        found = [
            i for i, s in enumerate(self.specs) if test(s) and (self.exact[i] or not exact)
        ]  # fmt: skip
        return Ref(self.draw(st.sampled_from(found[::-1]))) if found else None

    def some_float(self, exact=False, **_):
        return self.some(lambda s: s.dtype.kind == "f", exact)

    # ------------------------------------------------------------ the program

    def graph(self, also=None):
        """The recorded program; `also` makes further outputs from all values."""

        def f(*nodes):
            order = {i: n for n, i in enumerate(i for i in self.inputs if i >= 0)}
            values, left = [], iter(self.lines)
            for i in self.inputs:
                if i >= 0:
                    values.append(nodes[order[i]])
                else:
                    line = next(left)
                    operands = [values[x.number] if isinstance(x, Ref) else x
                                for x in line.operands]  # fmt: skip
                    values.append(line.op(*operands, **line.params))
            self.nodes = values
            return also(values) if also else [values[i] for i in self.outputs]

        made = G.trace(f, *self.arrays)
        updates = [(self.nodes[i], self.nodes[v.number] if isinstance(v, Ref) else v)
                   for i, v in self.updates]  # fmt: skip
        return G.Graph(made.inputs, made.nodes, made.outputs, () if also else updates)

    def gradient(self):
        """The program of the gradients of all float inputs."""

        def also(values):
            total = None
            for i in self.outputs:
                y = values[i]
                if y.dtype.kind != "f":
                    continue
                y = ops.mul(y, y)
                axes = tuple(range(y.ndim))
                y = ops.cast(ops.sum(y, axis=axes, keepdim=False), dtype=dtypes.float64)
                total = y if total is None else ops.add(total, y)
            wanted = [values[i] for i in self.inputs if i >= 0 and values[i].dtype.kind == "f"]
            assume(total is not None and wanted and any(x is not total for x in wanted))
            found = [g for g in gradients(total, wanted) if g is not None]
            assume(found)
            return found

        return self.graph(also)

    def __repr__(self):
        return f"{self.graph()}\n{[a.dtype.name + str(a.shape) for a in self.arrays]}"


# ---------------------------------------------------------------- moves: each adds a line or more


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
    p.do(ops.concat, x, y, *p.pick((), (x,)), axis=axis)


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
    product(p, (16, 17, 24, 33, 40, 64, 5), ((), (), (), (2,)), 5000)


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


# ---------------------------------------------------------------- comparing


def scale_of(graph, arrays):
    """The largest number that a program meets on its way."""
    most = 1.0
    values = {id(n): a for n, a in zip(graph.inputs, arrays, strict=True)}
    with quietly():
        for node in graph.nodes:
            operands = [values.get(id(x), x) for x in node.inputs]
            y = values[id(node)] = node.op.forward(*operands, **node.params)
            size = np.abs(y)[np.isfinite(y)]
            if size.size and size.dtype.kind == "f":
                most = max(most, float(size.max()))
    return most


def narrow(graph):
    """Whether some value is a float32."""
    return any(n.dtype == dtypes.float32 for n in (*graph.inputs, *graph.nodes))


EITHER_ZERO = {"maximum", "minimum", "relu", "sign", "max", "min"}


def zeros_have_signs(graph):
    """Whether no line may choose freely between 0 and -0, as NumPy's own code does."""
    return not any(n.op.name in EITHER_ZERO for n in graph.nodes)


def agree(y, wanted, what, tolerance=0.0, signs=False):
    """Equal types, shapes and values; with `signs` a 0 differs from a -0."""
    assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype), what
    if not tolerance or wanted.dtype.kind != "f":
        np.testing.assert_array_equal(y, wanted, err_msg=what)
    else:
        np.testing.assert_allclose(y, wanted, rtol=tolerance, atol=tolerance, err_msg=what)
    if signs and wanted.dtype.kind == "f":
        number = wanted == wanted
        assert np.array_equal(np.signbit(y)[number], np.signbit(wanted)[number]), what
