"""Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011).

A number depends on the seed, on how many draws came before, and on its place in the tensor; on
nothing else.  So the bits are the same on every machine, at any number of threads, eager or
compiled, and a mask can be made again instead of being stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from .core import NOTHING, Op, Sample, Shape, Spec, Value
from .index import argsort
from .special import normal_quantile, normal_quantile_of

_MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_WEYL_OF_ROUNDS = np.array([[[r * w] for w in _WEYL] for r in range(10)], np.uint64)
_MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
RUN = 1 << 15
"""So many numbers are made at a time: what is worked out on the way stays in the cache."""


def philox(seed: int, draw: int, index: Any) -> Any:
    """Words (blocks, 4) of 32 random bits: the cipher of the counters (index[i], draw).

    The counter's words are index low, index high, draw low, draw high; the key's are the seed's.
    """
    blocks = len(index)
    even = np.empty((2, blocks), np.uint64)  # words 0 and 2 of the counter
    odd = np.empty((2, blocks), np.uint64)  # words 1 and 3
    even[0], odd[0] = index & _MASK, index >> _HALF
    even[1], odd[1] = draw & 0xFFFFFFFF, draw >> 32
    keys = np.array([[seed & 0xFFFFFFFF], [seed >> 32]], np.uint64) + _WEYL_OF_ROUNDS & _MASK
    for key in keys:
        product = even * _MULTIPLIERS
        even = product[::-1] >> _HALF
        even ^= odd
        even ^= key
        odd = product[::-1] & _MASK
    return np.stack([even[0], odd[0], even[1], odd[1]], axis=1)


def _philox_of(make: Any, seed: Any, draw: Any, block: Any) -> list[Any]:
    """`philox` for one block as four expressions."""

    def number(n: int) -> Any:
        return make.const(n, dtypes.uint64)

    def low(x: Any) -> Any:
        return make.both(x, number(0xFFFFFFFF))

    index = make.whole(block, dtypes.uint64)
    even = [low(index), low(draw)]
    odd = [make.shr(index, 32), make.shr(draw, 32)]
    key = [low(seed), make.shr(seed, 32)]
    for _ in range(10):
        products = [make.mul(x, number(int(m[0]))) for x, m in zip(even, _MULTIPLIERS, strict=True)]
        even = [
            make.xor(make.xor(make.shr(p, 32), o), k)
            for p, o, k in zip(reversed(products), odd, key, strict=True)
        ]
        odd = [low(p) for p in reversed(products)]
        key = [low(make.add(k, number(w))) for k, w in zip(key, _WEYL, strict=True)]
    return [even[0], odd[0], even[1], odd[1]]


def random_words(state: Any, count: int, first: int = 0) -> Any:
    """`count` words of 32 random bits, as uint64, for the state (seed, draws before).

    first: the place of the first of them in the draw, a multiple of 4.
    """
    seed, draw = (int(s) for s in state)
    index = np.arange(first // 4, -(-(first + count) // 4), dtype=np.uint64)
    return philox(seed, draw, index).reshape(-1)[:count]


def unit_interval(state: Any, count: int, bits: int, first: int = 0) -> Any:
    """`count` float64 values k / 2^bits in [0, 1): 24 bits take one word each, 53 bits two.

    first: the place of the first of them in the draw, a multiple of 4.
    """
    if bits <= 32:
        words = random_words(state, count, first)
        return (words >> np.uint64(32 - bits)).astype(np.float64) * 2.0**-bits
    words = random_words(state, 2 * count, 2 * first).reshape(count, 2)
    whole = (words[:, 0] << np.uint64(21)) ^ (words[:, 1] >> np.uint64(11))
    return whole.astype(np.float64) * 2.0**-53


def drawn(state: Any, shape: Shape, dtype: DType, bits: int, of: Callable[[Any], Any]) -> Any:
    """An array of that shape: `of` the numbers k / 2^bits in [0, 1), a run after the other."""
    out = np.empty(shape, dtype)
    flat = out.reshape(-1)
    for first in range(0, flat.size, RUN):
        part = flat[first : first + RUN]
        part[:] = of(unit_interval(state, part.size, bits, first))
    return out


class Random(Op):
    """Base of the draws.  `state` (2,) of uint64 holds the seed and the number of draws before."""

    saves = NOTHING
    warns = False
    differentiable = False

    def word(self, make: Any, state: Any, place: Any) -> Any:
        """The random word at a place of the draw, as an expression; see `random_words`."""
        blocks = _philox_of(make, state((make.index(0),)), state((make.index(1),)), place // 4)
        lane = make.whole(place % 4)
        word = blocks[3]
        for n in (2, 1, 0):
            word = make.select(make.eq(lane, make.const(n, dtypes.int64)), blocks[n], word)
        return word

    def unit(self, make: Any, state: Any, place: Any, bits: int) -> Any:
        """The float64 number at a place, as an expression; see `unit_interval`."""
        if bits <= 32:
            whole = make.shr(self.word(make, state, place), 32 - bits)
        else:
            high = make.shl(make.shr(self.word(make, state, place * 2), 0), 21)
            whole = make.xor(high, make.shr(self.word(make, state, place * 2 + 1), 11))
        scale = make.const(2.0**-bits, dtypes.float64)
        return make.mul(make.cast(make.cast(whole, dtypes.int64), dtypes.float64), scale)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        for dtype in (dtypes.float32, dtypes.float64):
            state = np.array([int(rng.integers(1 << 60)), 3], np.uint64)
            yield Sample((state,), {"shape": (3, 5), "dtype": dtype})


class Uniform(Random):
    """y uniform on [0, 1), 24 bits in float32 and 53 in float64;  no derivative."""

    math = "uniform"

    def spec(self, state: Any, *, shape: Shape, dtype: DType) -> Spec:
        return Spec(shape, dtype)

    def forward(self, state: Any, *, shape: Shape, dtype: DType) -> Any:
        bits = 24 if dtype == dtypes.float32 else 53
        return drawn(state, shape, dtype, bits, lambda u: u)

    def element(self, make: Any, i: Any, state: Any, *, shape: Shape, dtype: DType) -> Any:
        bits = 24 if dtype == dtypes.float32 else 53
        return make.cast(self.unit(make, state, make.flatten(i, shape), bits), dtype)


class Normal(Random):
    """y normal with mean 0 and variance 1, by the inverse of its distribution;  no derivative."""

    math = "normal"

    def spec(self, state: Any, *, shape: Shape, dtype: DType) -> Spec:
        return Spec(shape, dtype)

    def forward(self, state: Any, *, shape: Shape, dtype: DType) -> Any:
        bits = 32 if dtype == dtypes.float32 else 53
        half = 2.0 ** -(bits + 1)  # never 0 or 1
        return drawn(
            state, shape, dtype, bits,
            lambda u: normal_quantile(np.minimum(u + half, 1 - 2.0**-53)),
        )  # fmt: skip

    def element(self, make: Any, i: Any, state: Any, *, shape: Shape, dtype: DType) -> Any:
        bits = 32 if dtype == dtypes.float32 else 53
        unit = self.unit(make, state, make.flatten(i, shape), bits)
        middle = make.add(unit, make.like(2.0 ** -(bits + 1), unit))
        middle = make.minimum(middle, make.like(1 - 2.0**-53, unit))
        return make.cast(normal_quantile_of(make, middle), dtype)


class Permutation(Random):
    """y = 0 .. n-1 in random order, that which sorts n random 53-bit numbers;  no derivative."""

    math = "permutation"

    def spec(self, state: Any, *, n: int) -> Spec:
        return Spec((n,), dtypes.int64)

    def forward(self, state: Any, *, n: int) -> Any:
        return np.argsort(unit_interval(state, n, 53), kind="stable")

    def spell(self, state: Value, *, n: int) -> Value:
        return argsort(uniform(state, shape=(n,), dtype=dtypes.float64), axis=0, descending=False)

    def samples(self, rng: np.random.Generator) -> Iterator[Sample]:
        yield Sample((np.array([7, 0], np.uint64),), {"n": 10})


uniform, normal, permutation = Uniform(), Normal(), Permutation()
