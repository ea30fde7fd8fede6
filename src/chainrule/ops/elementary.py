"""The elementary functions, activations that are primitives, and steps: element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import special
from .core import NOTHING, VALUE_X, VALUE_Y, Value
from .logic import le, where
from .pointwise import Pointwise, zero_gradient


class Exp(Pointwise):
    """y = e^x;  dy/dx = e^x = y."""

    math = "exp({x})"
    saves = VALUE_Y
    floating = True
    singular = True

    def forward(self, x: Any) -> Any:
        return np.exp(x)

    def lower(self, make: Any, x: Any) -> Any:
        return make.exp(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.expm1(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.log1p(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.log(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.sqrt(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.rsqrt(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.sin(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.cos(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.tanh(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.sigmoid(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.softplus(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.erf(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.relu(x)

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

    def lower(self, make: Any, x: Any) -> Any:
        return make.abs(x)

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (g * sign(x),)


class Step(Pointwise):
    """Base of the ops that are constant between jumps;  dy/dx = 0."""

    saves = NOTHING
    shapes = VALUE_X
    warns = False
    bools = False

    def vjp(self, g: Value, y: Value, x: Value) -> tuple[Value, ...]:
        return (zero_gradient(g, x),)


class Sign(Step):
    """y = -1, 0 or 1 by the sign of x;  dy/dx = 0."""

    math = "sign({x})"
    kinks = (0.0,)

    def forward(self, x: Any) -> Any:
        return np.sign(x)

    def lower(self, make: Any, x: Any) -> Any:
        return make.sign(x)


class Floor(Step):
    """y = the greatest whole number <= x;  dy/dx = 0."""

    math = "floor({x})"
    kinks = (-2.0, -1.0, 0.0, 1.0, 2.0)

    def forward(self, x: Any) -> Any:
        return np.floor(x) if np.asarray(x).dtype.kind == "f" else +x

    def lower(self, make: Any, x: Any) -> Any:
        return make.floor(x)


class Round(Step):
    """y = the nearest whole number, halves to even as in PyTorch;  dy/dx = 0."""

    math = "round({x})"
    kinks = (-1.5, -0.5, 0.5, 1.5)

    def forward(self, x: Any) -> Any:
        return np.rint(x) if np.asarray(x).dtype.kind == "f" else +x

    def lower(self, make: Any, x: Any) -> Any:
        return make.round(x)


exp, log, expm1, log1p, sqrt = Exp(), Log(), Expm1(), Log1p(), Sqrt()
rsqrt, sin, cos = Rsqrt(), Sin(), Cos()
tanh, sigmoid, softplus, erf, relu = Tanh(), Sigmoid(), Softplus(), Erf(), Relu()
abs, sign, floor, round = Abs(), Sign(), Floor(), Round()
