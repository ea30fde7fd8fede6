"""Ops that work element by element.

Inputs meet in one shape and one dtype before the op runs: `align` inserts `expand` and `cast`,
so a rule never undoes a broadcast.  Python numbers are taken as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import ChainruleError, DTypeError
from . import special
from .broadcast import expand
from .core import (
    NOTHING,
    OTHER,
    VALUE_X,
    VALUE_Y,
    Op,
    Sample,
    Spec,
    Value,
    broadcast_shapes,
    is_number,
)
from .shape import full


class Pointwise(Op):
    """y[i] = f(x[i]).

    floating  integers are cast to the default float type first.
    bools     bool inputs may meet without a number (PyTorch refuses true - true).
    """

    pointwise = True
    floating: ClassVar[bool] = False
    bools: ClassVar[bool] = True
    boolean: ClassVar[bool] = False  # the result is bool
    domain: ClassVar[tuple[float, float]] = (-2.0, 2.0)
    kinks: ClassVar[tuple[float, ...]] = ()

    def align(self, inputs: Sequence[Value]) -> Sequence[Value]:
        arrays = [x for x in inputs if not is_number(x)]
        shape = broadcast_shapes(self.name, *(x.shape for x in arrays)) if arrays else ()
        dtype = self.meeting_dtype(inputs)
        return [x if is_number(x) else _fit(x, shape, dtype) for x in inputs]

    def fits(self, values: Sequence[Any]) -> bool:
        first = None
        for v in values:
            if type(v) is np.ndarray:
                if first is None:
                    first = v
                elif v.shape != first.shape or (  # equal dtypes can be two objects
                    v.dtype is not first.dtype and v.dtype != first.dtype
                ):
                    return False
        if first is None or first.dtype.kind == "f":
            return True
        if self.floating or (first.dtype.kind == "b" and not self.bools):
            return False
        numbers = bool if first.dtype.kind == "b" else int
        return all(type(v) is np.ndarray or isinstance(v, numbers) for v in values)

    def meeting_dtype(self, inputs: Sequence[Value]) -> DType:
        dtype = dtypes.result_type(*inputs)
        if dtype.kind == "b" and not self.bools:
            raise DTypeError(
                f"{self.name}: not defined for bools",
                expected="numbers",
                got="bool",
                fix=".long() or .float() first; & | ^ ~ for logic",
            )
        return dtypes.get_default_dtype() if self.floating and dtype.kind != "f" else dtype

    def spec(self, *inputs: Any, **params: Any) -> Spec:
        arrays = [x for x in inputs if not is_number(x)]
        shape = broadcast_shapes(self.name, *(x.shape for x in arrays)) if arrays else ()
        return Spec(shape, dtypes.bool_ if self.boolean else self.meeting_dtype(inputs))

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        arity = len(self.input_names)
        for shape in ((), (3,), (2, 3), (2, 1, 4)):
            yield Sample(tuple(self.draw(rng, shape) for _ in range(arity)), {})

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        low, high = self.domain
        x = rng.uniform(low, high, shape)
        for kink in self.kinks:
            x = np.where(np.abs(x - kink) < 0.1, x + 0.25, x)
        return np.asarray(x)


def _fit(x: Value, shape: tuple[int, ...], dtype: DType) -> Value:
    if x.dtype != dtype:
        x = cast(x, dtype=dtype)
    return x if x.shape == shape else expand(x, shape=shape)


def _zeros(g: Value, x: Value) -> Value:
    """The gradient of a step function: 0 everywhere, whatever comes in."""
    return full(shape=x.shape, value=0.0, dtype=x.dtype)


# ---------------------------------------------------------------- arithmetic


class Add(Pointwise):
    """y = a + b;  dy/da = 1, dy/db = 1."""

    math = "{a} + {b}"
    saves = NOTHING

    def forward(self, a: Any, b: Any) -> Any:
        return a + b

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return g, g


class Sub(Pointwise):
    """y = a - b;  dy/da = 1, dy/db = -1."""

    math = "{a} - {b}"
    saves = NOTHING
    bools = False

    def forward(self, a: Any, b: Any) -> Any:
        return a - b

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return g, lambda: -g


class Mul(Pointwise):
    """y = a b;  dy/da = b, dy/db = a."""

    math = "{a} * {b}"
    saves = OTHER
    singular = True

    def forward(self, a: Any, b: Any) -> Any:
        return a * b

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

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return lambda: g / b, lambda: -g * (a / b) / b


class WholeDivisionError(ChainruleError, RuntimeError, ZeroDivisionError):
    """Whole numbers divided by 0, which has no value to stand for it."""


class FloorDiv(Pointwise):
    """y = floor(a / b);  dy/da = dy/db = 0 (a step function)."""

    math = "floor({a} / {b})"
    bools = False
    saves = NOTHING
    shapes = frozenset({"a", "b"})
    domain = (0.5, 3.0)

    def forward(self, a: Any, b: Any) -> Any:
        y = np.floor_divide(a, b)
        if y.dtype.kind != "f" and not np.all(b):
            raise WholeDivisionError(
                "floor_div: whole numbers divided by 0",
                expected="no 0 in the divisor",
                got=f"{int(np.sum(np.equal(b, 0)))} zeros",
                fix=".float() for infinities, or where(b == 0, 1, b)",
            )
        return y

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return lambda: _zeros(g, a), lambda: _zeros(g, b)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        whole = rng.integers(1, 5, shape)
        return np.asarray(whole + rng.uniform(0.05, 0.2, shape))  # no quotient near a whole number


class Neg(Pointwise):
    """y = -x;  dy/dx = -1."""

    math = "-{x}"
    saves = NOTHING
    bools = False
    warns = False

    def forward(self, x: Any) -> Any:
        return -x

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (-g,)


class Pow(Pointwise):
    """y = a^b;  dy/da = b a^(b-1) (0 where b = 0), dy/db = a^b ln a (0 where a = 0 and b >= 0)."""

    math = "{a}^{b}"
    saves = frozenset({"a", "b"})
    singular = True
    bools = False
    domain = (0.5, 2.0)

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

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return lambda: self._base(g, a, b), lambda: self._exponent(g, a, b)

    def _base(self, g: Value, a: Value, b: Value) -> Value:
        if not is_number(b):
            safe = where(eq(b, 0), 1.0, b)  # keeps 0 * inf out of the branch that is not taken
            return where(eq(b, 0), 0.0, g * (b * a ** (safe - 1)))
        if b == 0:
            return _zeros(g, a)
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

    def vjp(self, g: Value, y: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return (
            lambda: where(gt(a, b), 0.0, where(eq(a, b), g / 2, g)),
            lambda: where(gt(b, a), 0.0, where(eq(a, b), g / 2, g)),
        )


# ---------------------------------------------------------------- elementary functions


class Exp(Pointwise):
    """y = e^x;  dy/dx = e^x = y."""

    math = "exp({x})"
    saves = VALUE_Y
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        return np.exp(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * y,)


class Expm1(Pointwise):
    """y = e^x - 1, exact for small x as well;  dy/dx = y + 1."""

    math = "(exp({x}) - 1)"
    saves = VALUE_Y
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        return np.expm1(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * (y + 1),)


class Log1p(Pointwise):
    """y = ln(1 + x), exact for small x as well;  dy/dx = 1 / (1 + x)."""

    math = "ln(1 + {x})"
    saves = VALUE_X
    floating = True
    singular = True
    domain = (-0.5, 2.0)

    def forward(self, x: Any) -> Any:
        return np.log1p(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g / (x + 1),)


class Log(Pointwise):
    """y = ln x;  dy/dx = 1 / x."""

    math = "ln({x})"
    saves = VALUE_X
    floating = True
    singular = True
    domain = (0.3, 3.0)

    def forward(self, x: Any) -> Any:
        return np.log(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g / x,)


class Sqrt(Pointwise):
    """y = sqrt(x);  dy/dx = 1 / (2 y), infinite at 0 as in PyTorch."""

    math = "sqrt({x})"
    saves = VALUE_Y
    floating = True
    singular = True
    domain = (0.3, 3.0)

    def forward(self, x: Any) -> Any:
        return np.sqrt(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g / (y * 2),)


class Rsqrt(Pointwise):
    """y = 1 / sqrt(x);  dy/dx = -y^3 / 2."""

    math = "1 / sqrt({x})"
    saves = VALUE_Y
    floating = True
    singular = True
    domain = (0.3, 3.0)

    def forward(self, x: Any) -> Any:
        return 1 / np.sqrt(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * (y * y * y * -0.5),)


class Sin(Pointwise):
    """y = sin x;  dy/dx = cos x."""

    math = "sin({x})"
    saves = VALUE_X
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        return np.sin(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * cos(x),)


class Cos(Pointwise):
    """y = cos x;  dy/dx = -sin x."""

    math = "cos({x})"
    saves = VALUE_X
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        return np.cos(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (-g * sin(x),)


class Tanh(Pointwise):
    """y = tanh x;  dy/dx = 1 - y^2."""

    math = "tanh({x})"
    saves = VALUE_Y
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        return np.tanh(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * (1 - y * y),)


class Sigmoid(Pointwise):
    """y = 1 / (1 + e^-x);  dy/dx = y (1 - y)."""

    math = "sigmoid({x})"
    saves = VALUE_Y
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        # tanh never overflows, and costs one call: sigmoid(x) = (1 + tanh(x / 2)) / 2 loses the
        # small values of the left tail, so the exponential form is used there.
        z = np.exp(-np.abs(x))
        y = 1 / (1 + z)
        return np.where(x >= 0, y, z * y)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * (y * (1 - y)),)


class Softplus(Pointwise):
    """y = ln(1 + e^x);  dy/dx = sigmoid(x)."""

    math = "ln(1 + exp({x}))"
    saves = VALUE_X
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * sigmoid(x),)


class Erf(Pointwise):
    """y = 2/sqrt(pi) * integral of e^(-t^2) from 0 to x;  dy/dx = 2/sqrt(pi) e^(-x^2)."""

    math = "erf({x})"
    saves = VALUE_X
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        return special.erf(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * (exp(-x * x) * 1.1283791670955126),)


class Relu(Pointwise):
    """y = max(x, 0);  dy/dx = 0 where x <= 0 (so 0 at the kink, as in PyTorch), else 1."""

    math = "max({x}, 0)"
    saves = VALUE_Y
    kinks = (0.0,)
    warns = False
    bools = False

    def forward(self, x: Any) -> Any:
        return np.maximum(x, 0)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (where(le(y, 0), 0.0, g),)


class Abs(Pointwise):
    """y = |x|;  dy/dx = sign(x) (0 at 0, as in PyTorch)."""

    math = "|{x}|"
    saves = VALUE_X
    singular = True
    kinks = (0.0,)
    warns = False

    def forward(self, x: Any) -> Any:
        return np.abs(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * sign(x),)


class Step(Pointwise):
    """Base of the ops that are constant between jumps;  dy/dx = 0."""

    saves = NOTHING
    shapes = VALUE_X
    warns = False
    bools = False

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (_zeros(g, x),)


class Sign(Step):
    """y = -1, 0 or 1 by the sign of x;  dy/dx = 0."""

    math = "sign({x})"
    kinks = (0.0,)

    def forward(self, x: Any) -> Any:
        return np.sign(x)


class Floor(Step):
    """y = the greatest whole number <= x;  dy/dx = 0."""

    math = "floor({x})"
    kinks = (-2.0, -1.0, 0.0, 1.0, 2.0)

    def forward(self, x: Any) -> Any:
        return np.floor(x) if np.asarray(x).dtype.kind == "f" else +x


class Round(Step):
    """y = the nearest whole number, halves to even as in PyTorch;  dy/dx = 0."""

    math = "round({x})"
    kinks = (-1.5, -0.5, 0.5, 1.5)

    def forward(self, x: Any) -> Any:
        return np.rint(x) if np.asarray(x).dtype.kind == "f" else +x


# ---------------------------------------------------------------- comparison and logic


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


class Ne(Comparison):
    """y = (a != b);  no derivative."""

    math = "{a} != {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.not_equal(a, b)


class Lt(Comparison):
    """y = (a < b);  no derivative."""

    math = "{a} < {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.less(a, b)


class Le(Comparison):
    """y = (a <= b);  no derivative."""

    math = "{a} <= {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.less_equal(a, b)


class Gt(Comparison):
    """y = (a > b);  no derivative."""

    math = "{a} > {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.greater(a, b)


class Ge(Comparison):
    """y = (a >= b);  no derivative."""

    math = "{a} >= {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.greater_equal(a, b)


class LogicalAnd(Comparison):
    """y = a and b, where any number but 0 counts as true;  no derivative."""

    math = "{a} and {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.logical_and(a, b)


class LogicalOr(Comparison):
    """y = a or b, where any number but 0 counts as true;  no derivative."""

    math = "{a} or {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.logical_or(a, b)


class LogicalXor(Comparison):
    """y = either a or b, not both;  no derivative."""

    math = "{a} xor {b}"

    def forward(self, a: Any, b: Any) -> Any:
        return np.logical_xor(a, b)


class LogicalNot(Comparison):
    """y = not x, where any number but 0 counts as true;  no derivative."""

    math = "not {x}"

    def forward(self, x: Any) -> Any:
        return np.logical_not(x)


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
        c, *rest = values
        if is_number(c) or c.dtype.kind != "b" or not super().fits(rest):
            return False
        return all(is_number(v) or v.shape == c.shape for v in rest)

    def align(self, inputs: Sequence[Value]) -> Sequence[Value]:
        c, a, b = inputs
        arrays = [x for x in inputs if not is_number(x)]
        shape = broadcast_shapes(self.name, *(x.shape for x in arrays)) if arrays else ()
        dtype = dtypes.result_type(a, b)
        c = full(shape=shape, value=c, dtype=dtypes.bool_) if is_number(c) else _fit(
            c, shape, dtypes.bool_)  # fmt: skip
        return [c, *(x if is_number(x) else _fit(x, shape, dtype) for x in (a, b))]

    def meeting_dtype(self, inputs: Sequence[Value]) -> DType:
        return dtypes.result_type(*inputs[1:])

    def forward(self, c: Any, a: Any, b: Any) -> Any:
        if is_number(b) and not b and isinstance(a, np.ndarray) and a.shape == np.shape(c):
            y = np.zeros(a.shape, a.dtype)  # three times as fast as np.where for small arrays
            np.copyto(y, a, where=c)
            return y
        if is_number(a) and isinstance(b, np.ndarray) and b.shape == np.shape(c):
            y = b.copy()
            np.copyto(y, a, where=c)
            return y
        if is_number(a) and is_number(b):
            return np.where(c, a, b).astype(dtypes.result_type(a, b))
        return np.where(c, a, b)

    def vjp(self, g: Value, y: Value, c: Value, a: Value, b: Value) -> tuple[Value, ...]:
        return None, lambda: where(c, g, 0.0), lambda: where(c, 0.0, g)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for shape in ((), (3,), (2, 3)):
            c = np.asarray(rng.random(shape) < 0.5)
            yield Sample((c, self.draw(rng, shape), self.draw(rng, shape)), {})


class Cast(Pointwise):
    """y = x in another dtype;  dy/dx = 1 between float types, none from or to integers."""

    math = "{x}"
    saves = NOTHING
    shapes = VALUE_X

    def fits(self, values: Sequence[Any]) -> bool:
        return True

    def align(self, inputs: Sequence[Value]) -> Sequence[Value]:
        return inputs

    def spec(self, x: Any, *, dtype: DType) -> Spec:
        return Spec(x.shape, dtype)

    def forward(self, x: Any, *, dtype: DType) -> Any:
        return np.asarray(x).astype(dtype)

    def vjp(self, g: Value, y: Value, x: Value, *, dtype: DType) -> tuple[Value, ...]:
        return (g if g.dtype == x.dtype else cast(g, dtype=x.dtype),)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((rng.normal(size=(2, 3)),), {"dtype": dtypes.float64})


class Detach(Pointwise):
    """y = x, taken as a constant;  dy/dx = 0 by decree (no gradient flows)."""

    math = "{x}"
    saves = NOTHING
    differentiable = False
    warns = False

    def forward(self, x: Any) -> Any:
        return x.copy()  # what shares memory must be a view, or writes would go unnoticed


def require_float(op_name: str, x: Any) -> None:
    """Raises unless x is of a float type."""
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{op_name}: needs a float type",
            expected="float32 or float64",
            got=x.dtype.name,
            fix="x.float()",
        )


add, sub, mul, div, floor_div, neg = Add(), Sub(), Mul(), Div(), FloorDiv(), Neg()
pow, maximum, minimum = Pow(), Maximum(), Minimum()
exp, log, expm1, log1p, sqrt = Exp(), Log(), Expm1(), Log1p(), Sqrt()
rsqrt, sin, cos = Rsqrt(), Sin(), Cos()
tanh, sigmoid, softplus, erf, relu = Tanh(), Sigmoid(), Softplus(), Erf(), Relu()
abs, sign, floor, round = Abs(), Sign(), Floor(), Round()
eq, ne, lt, le, gt, ge = Eq(), Ne(), Lt(), Le(), Gt(), Ge()
logical_and, logical_or = LogicalAnd(), LogicalOr()
logical_xor, logical_not = LogicalXor(), LogicalNot()
where, cast, detach = Where(), Cast(), Detach()
