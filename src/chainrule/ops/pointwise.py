"""Ops that work element by element.

Inputs meet in one shape and one dtype before the op runs: `align` inserts `expand` and `cast`,
so a rule never undoes a broadcast.  Python numbers are taken as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import DTypeError
from .broadcast import expand
from .core import (
    NOTHING,
    VALUE_X,
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
        return [x if is_number(x) else fit(x, shape, dtype) for x in inputs]

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

    def element(self, make: Any, i: Any, *inputs: Any, **params: Any) -> Any:
        return self.lower(make, *(x(i) for x in inputs), **params)

    def lower(self, make: Any, *inputs: Any, **params: Any) -> Any:
        """The result as a scalar expression of the inputs, for the compiler."""
        raise NotImplementedError(f"{self.name} has no lower: add it in {type(self).__module__}")

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


def fit(x: Value, shape: tuple[int, ...], dtype: DType) -> Value:
    if x.dtype != dtype:
        x = cast(x, dtype=dtype)
    return x if x.shape == shape else expand(x, shape=shape)


def zero_gradient(g: Value, x: Value) -> Value:
    """The gradient of a step function: 0 everywhere, whatever comes in."""
    return full(shape=x.shape, value=0.0, dtype=x.dtype)


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

    def lower(self, make: Any, x: Any, *, dtype: DType) -> Any:
        return make.cast(x, dtype)

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

    def lower(self, make: Any, x: Any) -> Any:
        return x


cast, detach = Cast(), Detach()
