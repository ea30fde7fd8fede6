"""A program that is drawn at random: its values, and how it becomes a Graph; see `moves`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from chainrule import dtypes, ops
from chainrule import graph as G
from chainrule.grad import gradients
from chainrule.ops.core import Spec, interpret, shapes

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
