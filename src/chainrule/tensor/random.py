"""Random tensors, and the generator whose state (seed, draws) they come from."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..errors import ArgumentError, ArgumentTypeError
from ..functional.arguments import shape_of
from ..ops.core import current
from ..runtime.forks import Locked
from .conversion import check_device
from .core import Tensor, wrap
from .looking import look, no_trace

_draws = Locked()  # two threads must never get the same draw


class Generator:
    """A seed and a count of draws: all the state that random numbers have here.

    >>> import chainrule
    >>> g = chainrule.Generator().manual_seed(7)
    >>> chainrule.randperm(5, generator=g)
    tensor([4, 1, 3, 2, 0])
    """

    def __init__(self, device: Any = None) -> None:
        check_device("Generator", device)
        self.state = wrap(np.zeros(2, np.uint64))
        self.manual_seed(int.from_bytes(os.urandom(7), "little"))

    def manual_seed(self, seed: int) -> Generator:
        """Starts again from a seed in [0, 2^64)."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ArgumentTypeError("manual_seed: the seed must be a whole number", got=repr(seed))
        if not -(2**63) <= seed < 2**64:
            raise ArgumentError("manual_seed: the seed is out of range", expected="0 to 2**64 - 1",
                                got=str(seed))  # fmt: skip
        no_trace("manual_seed", "seed outside the compiled function")
        self.state._value[:] = (int(seed) % 2**64, 0)
        return self

    def initial_seed(self) -> int:
        """The seed."""
        return int(look(self.state, "initial_seed")[0])

    def get_state(self) -> Tensor:
        """(seed, draws so far), as a copy."""
        return wrap(look(self.state, "get_state").copy())

    def set_state(self, state: Any) -> None:
        """Goes on from a state that `get_state` gave."""
        no_trace("set_state", "set the state outside the compiled function")
        value = np.asarray(getattr(state, "_value", state))
        if value.shape != (2,):
            raise ArgumentError("set_state: not a generator's state", got=f"shape {value.shape}")
        self.state._value[:] = value.astype(np.uint64)

    def next(self) -> Tensor:
        """The state for one draw; the count goes up by one."""
        if current.trace is not None:
            return traced_draw(current.trace, self)
        with _draws.lock:
            now = wrap(self.state._value.copy())
            self.state._value[1] += np.uint64(1)
        return now


class Draws:
    """The part of a recorded program that draws from a generator.

    Each call works on a copy of the state, and takes all its draws at once: two threads that draw
    from one generator never get the same.
    """

    def __init__(self, generator: Generator, chosen: bool) -> None:
        self.generator = generator
        self.chosen = chosen  # not named by the caller: the one in use
        self.count = 0
        self.array = generator.state._value.copy()
        self.before: int | None = None  # the count before the run that is going on
        self.inputs: list[Any] = []

    def next(self, trace: Any) -> Tensor:
        """The state for one draw."""
        state = self.generator.state
        if not self.count:
            self.inputs = [trace.lift(state, self, "generator").node]
        self.count += 1
        now = trace.value(state)
        after = trace.recorder
        step = after(ops.iota, (), {"size": 2, "dtype": dtypes.uint64})
        trace.write(state, after(ops.add, (now, step), {}))
        return wrap(now)

    def finish(self, trace: Any) -> list[Any]:
        """The state is updated like any tensor: there is nothing else."""
        return []

    def changed(self) -> str | None:
        """Why the program can't be used as it is, or None."""
        if self.chosen and generator_in_use() is not self.generator:
            return "random numbers come from another generator"
        return None

    def alternates(self, other: Any) -> bool:
        """Whether these draws, counted on, serve the steps of another program too."""
        return (
            type(other) is Draws and self.generator is other.generator
            and (self.chosen, self.count) == (other.chosen, other.count)
        )  # fmt: skip

    def arrays(self) -> list[Any]:
        """The state for this call; the generator itself goes on at once."""
        state = self.generator.state._value
        with _draws.lock:
            self.array[...] = state
            self.before = int(state[1])
            state[1] += np.uint64(self.count)
        return [self.array]

    def done(self, times: int = 1) -> None:
        """After that many runs of the program, the first of which `arrays` has counted."""
        if times != 1 and self.before is not None:
            state = self.generator.state._value
            with _draws.lock:  # not added: an interrupt may have this called again
                state[1] = max(int(state[1]), self.before + self.count * times)
        self.before = None

    def failed(self) -> None:
        """After a run that has changed nothing: what was drawn is given back."""
        state = self.generator.state._value
        with _draws.lock:
            if self.before is not None and int(state[1]) == self.before + self.count:
                state[1] = self.before
            self.before = None


def traced_draw(trace: Any, generator: Generator) -> Tensor:
    """The state for one draw in a recorded program."""
    part = trace.parts.get(generator)
    if part is None:
        chosen = generator is generator_in_use()
        part = trace.parts[generator] = Draws(generator, chosen)
    draws: Draws = part
    return draws.next(trace)


default_generator = Generator()


class _Thread(threading.local):
    """The generator that stands in for the default one in the running thread."""

    generator: Generator | None = None


_thread = _Thread()


def generator_in_use() -> Generator:
    """The generator of this thread: the default one, unless within `drawing_from`."""
    return _thread.generator or default_generator


class drawing_from:
    """Within the block this thread draws from a generator of its own, not from the default one.

    What other threads draw meanwhile can't change the numbers.  None changes nothing.
    """

    def __init__(self, generator: Generator | None) -> None:
        self.generator = generator

    def __enter__(self) -> None:
        self.outer = _thread.generator
        _thread.generator = self.generator or self.outer

    def __exit__(self, *exc: object) -> None:
        _thread.generator = self.outer


def manual_seed(seed: int) -> Generator:
    """Makes everything random that follows the same on every run."""
    return generator_in_use().manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default generator."""
    return generator_in_use().initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return generator_in_use().get_state()


def set_rng_state(state: Any) -> None:
    """Sets the state of the default generator."""
    generator_in_use().set_state(state)


def _draw(op: ops.Op, size: tuple[Any, ...], dtype: Any, generator: Generator | None) -> Tensor:
    wanted = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    shape = shape_of(size)  # first: what is refused draws nothing
    state = (generator or generator_in_use()).next()
    return op(state, shape=shape, dtype=wanted)


def rand(
    *size: Any, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform numbers in [0, 1)."""
    check_device("rand", device)
    out = _draw(ops.uniform, size, dtype, generator)
    return out.requires_grad_() if requires_grad else out


def randn(
    *size: Any, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """Normal numbers with mean 0 and variance 1."""
    check_device("randn", device)
    out = _draw(ops.normal, size, dtype, generator)
    return out.requires_grad_() if requires_grad else out


def rand_like(x: Tensor, *, dtype: Any = None) -> Tensor:
    """Uniform numbers in [0, 1), shaped and typed as x."""
    return rand(x.shape, dtype=dtype or x.dtype)


def randn_like(x: Tensor, *, dtype: Any = None) -> Tensor:
    """Normal numbers, shaped and typed as x."""
    return randn(x.shape, dtype=dtype or x.dtype)


def randint(
    low: int, high: Any = None, size: Any = None, *, dtype: Any = None,
    generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """Whole numbers in [low, high)."""
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise ArgumentError("randint: high must be > low", got=f"low {low}, high {high}")
    u = _draw(ops.uniform, (size,), dtypes.float64, generator)
    whole = ops.floor(u * float(high - low)) + low
    return ops.cast(whole, dtype=dtypes.int64 if dtype is None else dtypes.as_dtype(dtype))


def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """0 .. n-1 in random order."""
    if n < 0:
        raise ArgumentError("randperm: n must be >= 0", got=str(n))
    return ops.permutation((generator or generator_in_use()).next(), n=n)


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None
) -> Tensor:
    """Normal numbers with the given mean and standard deviation (numbers or tensors)."""
    shape = size if size is not None else np.broadcast_shapes(np.shape(mean), np.shape(std))
    return randn(shape, generator=generator) * std + mean


def bernoulli(p: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element gives, else 0."""
    u = _draw(ops.uniform, (p.shape,), p.dtype, generator)
    return ops.cast(u < p, dtype=p.dtype)


def multinomial(
    p: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Places drawn with probabilities proportional to p (N,) or (B, N)."""
    weights = np.atleast_2d(look(p, "multinomial").astype(np.float64))
    if (weights < 0).any() or not np.isfinite(weights).all() or (weights.sum(1) <= 0).any():
        raise ArgumentError("multinomial: probabilities must be >= 0, finite, and not all 0")
    if not replacement:
        if ((weights > 0).sum(1) < num_samples).any():
            raise ArgumentError(
                "multinomial: fewer places with a probability than samples",
                fix="replacement=True",
            )
        u = rand(weights.shape, dtype=np.float64, generator=generator)._value
        with np.errstate(divide="ignore"):  # exponential races: the n earliest win
            times = np.where(weights > 0, -np.log1p(-u) / weights, np.inf)
        places = np.argsort(times, 1, kind="stable")[:, :num_samples]
    else:
        u = rand((len(weights), num_samples), dtype=np.float64, generator=generator)._value
        steps = np.cumsum(weights, 1)
        places = np.stack(
            [np.searchsorted(s, r * s[-1], "right") for s, r in zip(steps, u, strict=True)]
        )
    return wrap(places.astype(np.int64).reshape((*p.shape[:-1], num_samples)))
