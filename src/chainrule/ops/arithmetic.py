"""Arithmetic, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ChainruleError, DTypeError
from .broadcast import sum
from .core import NOTHING, OTHER, Value, is_number
from .elementary import log
from .logic import eq, gt, lt, where
from .pointwise import Pointwise, cast, zero_gradient


def nowhere(truth: Value) -> Value:
    """Whether a condition holds at no element."""
    count = sum(cast(truth, dtype=dtypes.int64), axis=tuple(range(len(truth.shape))), keepdim=False)
    return eq(count, 0)


class Add(Pointwise):
    """y = a + b;  dy/da = 1, dy/db = 1."""

    math = "{a} + {b}"
    saves = NOTHING

    def forward(self, a: Any, b: Any) -> Any:
        return a + b

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.add(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return g, g


class Sub(Pointwise):
    """y = a - b;  dy/da = 1, dy/db = -1."""

    math = "{a} - {b}"
    saves = NOTHING
    bools = False

    def forward(self, a: Any, b: Any) -> Any:
        return a - b

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.sub(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return g, lambda: -g


class Mul(Pointwise):
    """y = a b;  dy/da = b, dy/db = a."""

    math = "{a} * {b}"
    saves = OTHER
    singular = True

    def forward(self, a: Any, b: Any) -> Any:
        return a * b

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.mul(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return lambda: g * b, lambda: g * a


class Div(Pointwise):
    """y = a / b;  dy/da = 1 / b, dy/db = -a / b^2."""

    math = "{a} / {b}"
    saves = MappingProxyType({"a": "b", "b": "a b"})
    singular = True
    floating = True
    domain = (0.5, 2.0)

    def forward(self, a: Any, b: Any) -> Any:
        return a / b

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.div(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return lambda: g / b, lambda: -g * (a / b) / b


class WholeDivisionError(ChainruleError, RuntimeError, ZeroDivisionError):
    """Whole numbers divided by 0, which has no value to stand for it."""


class Division(Pointwise):
    """Base of the divisions with a whole quotient, which jump where it does."""

    bools = False

    def divided(self, y: Any, b: Any) -> Any:
        """y, the result of a division by b; raises where that was of whole numbers by 0."""
        if y.dtype.kind != "f" and not np.all(b):
            raise WholeDivisionError(
                f"{self.name}: whole numbers divided by 0",
                expected="no 0 in the divisor",
                got=f"{int(np.sum(np.equal(b, 0)))} zeros",
                fix=".float() for infinities, or where(b == 0, 1, b)",
            )
        return y

    def looks_at(self, inputs: Sequence[Any]) -> int | None:
        whole = all(getattr(x, "dtype", np.dtype(type(x))).kind != "f" for x in inputs)
        return 1 if whole else None

    def admit(self, value: Any, *inputs: Any, **params: Any) -> None:
        self.divided(np.zeros((), np.int64), value)

    def admissible(self, value: Value, *inputs: Value, **params: Any) -> Value:
        return nowhere(eq(value, 0))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        whole = rng.integers(1, 5, shape)
        return np.asarray(whole + rng.uniform(0.05, 0.2, shape))  # no quotient near a whole number


class FloorDiv(Division):
    """y = floor(a / b);  dy/da = dy/db = 0 (a step function)."""

    math = "floor({a} / {b})"
    saves = NOTHING
    shapes = frozenset({"a", "b"})

    def forward(self, a: Any, b: Any) -> Any:
        return self.divided(np.floor_divide(a, b), b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.floor_div(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return lambda: zero_gradient(g, a), lambda: zero_gradient(g, b)


class Remainder(Division):
    """y = a - floor(a / b) b, rounded once: it has the sign of b;  dy/da = 1, dy/db = -floor(a/b).

    A primitive because the difference loses every digit where a is much larger than b.
    """

    math = "({a} mod {b})"
    singular = True
    saves = MappingProxyType({"b": "a b"})

    def forward(self, a: Any, b: Any) -> Any:
        return self.divided(np.remainder(a, b), b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.remainder(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return g, lambda: -g * floor_div(a, b)


class Neg(Pointwise):
    """y = -x;  dy/dx = -1."""

    math = "-{x}"
    saves = NOTHING
    bools = False
    warns = False

    def forward(self, x: Any) -> Any:
        return -x

    def lower(self, make: Any, x: Any) -> Any:
        return make.neg(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (-g,)


class Pow(Pointwise):
    """y = a^b;  dy/da = b a^(b-1) (0 where b = 0), dy/db = a^b ln a (0 where a = 0 and b >= 0)."""

    math = "{a}^{b}"
    saves = frozenset({"a", "b"})
    singular = True
    bools = False
    domain = (0.5, 2.0)

    def looks_at(self, inputs: Sequence[Any]) -> int | None:
        whole = all(getattr(x, "dtype", np.dtype(type(x))).kind != "f" for x in inputs)
        return 1 if whole else None

    def admit(self, value: Any, *inputs: Any, **params: Any) -> None:
        if np.any(np.less(value, 0)):
            self.forward(np.ones((1,), np.int64), np.asarray(value))

    def admissible(self, value: Value, *inputs: Value, **params: Any) -> Value:
        return nowhere(lt(value, 0))

    def forward(self, a: Any, b: Any) -> Any:
        try:
            return a**b
        except ValueError:
            raise DTypeError(
                "pow: Integers to negative integer powers are not allowed",
                expected="exponents >= 0, or a float base",
                got=f"an exponent of {np.min(b)}",
                fix="x.float() ** b",
            ) from None

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.pow(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return lambda: self._base(g, a, b), lambda: self._exponent(g, a, b)

    def _base(self, g: Value, a: Value, b: Value) -> Value:
        if not is_number(b):
            safe = where(eq(b, 0), 1.0, b)  # keeps 0 * inf out of the branch that is not taken
            return where(eq(b, 0), 0.0, g * (b * a ** (safe - 1)))
        if b == 0:
            return zero_gradient(g, a)
        return g * (a * 2) if b == 2 else g * (a ** (b - 1) * b)

    def _exponent(self, g: Value, a: Value, b: Value) -> Value:
        if is_number(a) and a > 0:
            return g * (a**b * float(np.log(a)))
        zero = eq(a, 0) & (b >= 0)
        return where(zero, 0.0, g * (a**b * log(where(zero, 1.0, a))))


class Maximum(Pointwise):
    """y = max(a, b);  dy/da = 0 where a < b, 1/2 where a = b (PyTorch's choice), else 1."""

    math = "max({a}, {b})"
    saves = frozenset({"a", "b"})

    def forward(self, a: Any, b: Any) -> Any:
        return np.maximum(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.maximum(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return (
            lambda: where(lt(a, b), 0.0, where(eq(a, b), g / 2, g)),
            lambda: where(lt(b, a), 0.0, where(eq(a, b), g / 2, g)),
        )


class Minimum(Pointwise):
    """y = min(a, b);  dy/da = 0 where a > b, 1/2 where a = b (PyTorch's choice), else 1."""

    math = "min({a}, {b})"
    saves = frozenset({"a", "b"})

    def forward(self, a: Any, b: Any) -> Any:
        return np.minimum(a, b)

    def lower(self, make: Any, a: Any, b: Any) -> Any:
        return make.minimum(a, b)

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return (
            lambda: where(gt(a, b), 0.0, where(eq(a, b), g / 2, g)),
            lambda: where(gt(b, a), 0.0, where(eq(a, b), g / 2, g)),
        )


add, sub, mul, div, floor_div, neg = Add(), Sub(), Mul(), Div(), FloorDiv(), Neg()
remainder = Remainder()
pow, maximum, minimum = Pow(), Maximum(), Minimum()
