"""What the spellings share: the layout of float numbers, and small steps on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .... import dtypes
from ....dtypes import DType
from ..expr import Builder, Expr


@dataclass(frozen=True)
class Format:
    """How a float type is laid out in bits.

    `whole` is the integer type of the same size: the unsigned one where that exists, since few
    processors shift signed 64-bit numbers to the right.
    """

    name: str
    whole: DType
    mantissa: int
    bias: int

    @property
    def magic(self) -> float:
        """Numbers near it are 1 apart, and their last bits are the whole number added to it."""
        return 1.5 * 2.0**self.mantissa

    @property
    def ln2(self) -> tuple[float, float]:
        """ln 2 in two parts, of which the first times an exponent is exact."""
        high = 0.693145751953125 if self.mantissa == 23 else 0.6931471803691238
        low = 1.4286068203094173e-06 if self.mantissa == 23 else 1.9082149292705877e-10
        return high, low


FORMATS = {
    dtypes.float32: Format("float32", dtypes.int32, 23, 127),
    dtypes.float64: Format("float64", dtypes.uint64, 52, 1023),
}
LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453


def horner(make: Builder, coefficients: Sequence[float], x: Expr) -> Expr:
    """The polynomial with these coefficients, highest power first."""
    y = make.like(coefficients[0], x)
    for c in coefficients[1:]:
        y = make.fma(y, x, make.like(c, x))
    return y


def in_pairs(make: Builder, coefficients: Sequence[float], x: Expr) -> Expr:
    """The same, two terms at a time in x^2: each waits for half as many others."""
    odd = len(coefficients) % 2
    y = make.like(coefficients[0], x) if odd else None
    square = make.mul(x, x)
    for a, b in zip(coefficients[odd::2], coefficients[odd + 1 :: 2], strict=True):
        pair = make.fma(make.like(a, x), x, make.like(b, x))
        y = pair if y is None else make.fma(y, square, pair)
    assert y is not None
    return y


def at_most(make: Builder, bound: float, x: Expr) -> Expr:
    """The smaller one; nan stays nan.  One instruction, in this order of operands."""
    limit = make.like(bound, x)
    return make.select(make.lt(limit, x), limit, x)


def at_least(make: Builder, bound: float, x: Expr) -> Expr:
    """The larger one; nan stays nan.  One instruction, in this order of operands."""
    limit = make.like(bound, x)
    return make.select(make.gt(limit, x), limit, x)


def sign_bit(make: Builder, x: Expr) -> Expr:
    """The sign of x, as a whole number with the other bits clear."""
    whole = make.bits(x, FORMATS[x.dtype].whole)
    return make.both(whole, make.like(_sign_mask(whole.dtype), whole))


def with_sign(make: Builder, size: Expr, sign: Expr) -> Expr:
    """`size`, which has no sign, with the sign bit taken over."""
    return make.bits(make.either(make.bits(size, sign.dtype), sign), size.dtype)


def _sign_mask(whole: DType) -> int:
    return int(np.iinfo(whole).min) or 1 << 63


def power_of_two(make: Builder, biased: Expr, dtype: DType) -> Expr:
    """2^(biased - bias), from an exponent whose low bits alone count."""
    return make.bits(make.shl(biased, FORMATS[dtype].mantissa), dtype)


def head(make: Builder, x: Expr, cleared: int) -> Expr:
    """x without its last bits: the product of two such numbers can be exact."""
    whole = make.bits(x, FORMATS[x.dtype].whole)
    mask = make.like((1 << 64) - (1 << cleared), whole)
    return make.bits(make.both(whole, mask), x.dtype)
