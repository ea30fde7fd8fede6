"""Comparisons, logic, and the choice between two values: element by element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import ArgumentTypeError
from .core import NOTHING, Sample, Value, broadcast_shapes, is_number
from .pointwise import Pointwise, fit
from .shape import full


class Comparison(Pointwise):
    """y is bool and carries no gradient."""

    boolean = True
    differentiable = False
    saves = NOTHING
    warns = False


class Eq(Comparison):
    """y = (a = b);  no derivative."""

    math = "{a} = {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.equal(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.eq(a, b)


class Ne(Comparison):
    """y = (a != b);  no derivative."""

    math = "{a} != {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.not_equal(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.ne(a, b)


class Lt(Comparison):
    """y = (a < b);  no derivative."""

    math = "{a} < {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.less(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.lt(a, b)


class Le(Comparison):
    """y = (a <= b);  no derivative."""

    math = "{a} <= {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.less_equal(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.le(a, b)


class Gt(Comparison):
    """y = (a > b);  no derivative."""

    math = "{a} > {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.greater(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.gt(a, b)


class Ge(Comparison):
    """y = (a >= b);  no derivative."""

    math = "{a} >= {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.greater_equal(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.ge(a, b)


class LogicalAnd(Comparison):
    """y = a and b, where any number but 0 counts as true;  no derivative."""

    math = "{a} and {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.logical_and(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.both(make.truth(a), make.truth(b))


class LogicalOr(Comparison):
    """y = a or b, where any number but 0 counts as true;  no derivative."""

    math = "{a} or {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.logical_or(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.either(make.truth(a), make.truth(b))


class LogicalXor(Comparison):
    """y = either a or b, not both;  no derivative."""

    math = "{a} xor {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.logical_xor(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.ne(make.truth(a), make.truth(b))


class LogicalNot(Comparison):
    """y = not x, where any number but 0 counts as true;  no derivative."""

    math = "not {x}"

    def forward(self, x: Any) -> Any:
        return np.logical_not(x)

    def lower(self, make: Any, x: Any) -> Any:
        return make.negated(make.truth(x))


class Where(Pointwise):
    """y = a where c, else b;  dy/da = 1 where c, dy/db = 1 where not c.

    A gradient that this op masks to 0 stays 0 further down, even where the derivative of the
    branch that was not taken is infinite (PyTorch gives nan there).
    """

    math = "({a} if {c} else {b})"
    saves = frozenset({"c"})
    masks = True
    warns = False

    def fits(self, values: Sequence[Any]) -> bool:
        if len(values) != 3:
            raise ArgumentTypeError(
                "where: needs a condition and two values",
                got=f"{len(values)} values",
                fix="chainrule.nonzero(condition) for the places where it holds",
            )
        c, *rest = values
        if is_number(c) or c.dtype.kind != "b" or not super().fits(rest):
            return False
        return all(is_number(v) or v.shape == c.shape for v in rest)

    def align(self, inputs: Sequence[Value]) -> Sequence[Value]:
        c, a, b = inputs
        arrays = [x for x in inputs if not is_number(x)]
        shape = broadcast_shapes(self.name, *(x.shape for x in arrays)) if arrays else ()
        dtype = dtypes.result_type(a, b)
        c = full(shape=shape, value=c, dtype=dtypes.bool_) if is_number(c) else fit(
            c, shape, dtypes.bool_)  # fmt: skip
        return [c, *(x if is_number(x) else fit(x, shape, dtype) for x in (a, b))]

    def meeting_dtype(self, inputs: Sequence[Value]) -> DType:
        return dtypes.result_type(*inputs[1:])

    def forward(self, c: Any, a: Any, b: Any) -> Any:
        if is_number(b) and not b and _maskable(a, c):
            return _masked(a, c)
        if is_number(a) and not a and _maskable(b, c):
            return _masked(b, ~c)
        if is_number(a) and is_number(b):
            return np.where(c, a, b).astype(dtypes.result_type(a, b))
        return np.where(c, a, b)

    def lower(self, make: Any, c: Any, a: Any, b: Any) -> Any:
        return make.select(c, a, b)

    def vjp(self, g: Value, y: Value, c: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return None, lambda: where(c, g, 0.0), lambda: where(c, 0.0, g)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for shape in ((), (3,), (2, 3)):
            c = np.asarray(rng.random(shape) < 0.5)
            yield Sample((c, self.draw(rng, shape), self.draw(rng, shape)), {})


BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def _maskable(a: Any, c: Any) -> bool:
    """Whether `_masked` can choose from it."""
    if not (isinstance(a, np.ndarray) and isinstance(c, np.ndarray)):
        return False
    return a.ndim > 0 and a.shape == c.shape and a.dtype.itemsize in BITS


def _masked(a: Any, c: Any) -> Any:
    """a where c, else 0: its bits under a mask of ones, up to 15 times as fast as np.where."""
    bits = BITS[a.dtype.itemsize]
    y = c.astype(bits)
    np.negative(y, out=y)
    np.bitwise_and(y, a.view(bits), out=y)
    return y.view(a.dtype)


eq, ne, lt, le, gt, ge = Eq(), Ne(), Lt(), Le(), Gt(), Ge()
logical_and, logical_or = LogicalAnd(), LogicalOr()
logical_xor, logical_not = LogicalXor(), LogicalNot()
where = Where()
