"""Holding gradients to finite differences: of a function, of a module, of a whole loss.

A gradient G of L says that L(x + h d) - L(x - h d) is about 2 h G.d for every direction d.  The
fast check tries one random direction for each tensor; where that fails, or where asked for
(`fast=False`), every element is tried by itself and the worst one is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from . import dtypes
from .errors import ArgumentError, ArgumentTypeError, ChainruleError, NonFiniteError
from .nn.module import Module
from .tensor.autograd import enable_grad, grad
from .tensor.core import Tensor, wrap
from .tensor.random import get_rng_state, set_rng_state

SEARCHED = 512
"""Of a larger tensor, the part to blame is first narrowed down by halves to this many elements."""


class Tolerance(NamedTuple):
    """The step of the differences, and how far analytic and numeric value may be apart."""

    eps: float
    atol: float
    rtol: float


BY_DTYPE = {
    dtypes.float64: Tolerance(1e-6, 1e-5, 1e-3),
    dtypes.float32: Tolerance(5e-3, 1e-2, 1e-2),
}


class GradcheckError(ChainruleError, RuntimeError):
    """A gradient that finite differences contradict."""


class KinkError(GradcheckError):
    """The function has no derivative at the point of the check, so nothing can be said there."""


def gradcheck(
    f: Callable[..., Any], inputs: Any = (), *, params: Any = None, eps: float | None = None,
    atol: float | None = None, rtol: float | None = None, raise_exception: bool = True,
    fast: bool = True, seed: int = 0,
) -> bool:  # fmt: skip
    """Whether the gradients of f agree with central differences.

        |numeric - analytic| <= atol + rtol |analytic|

    f        a function of tensors, a Module (its parameters are checked as well), or a loss without
             arguments together with `params`: tensors, (name, tensor) pairs, or a Module.
    inputs   a tensor or a tuple of them; those that require grad are checked.
    eps      the step: 1e-6 in float64, 5e-3 in float32 unless said.
    atol     1e-5 in float64, 1e-2 in float32.   rtol  1e-3 in float64, 1e-2 in float32.
    fast     one random direction a tensor; False tries every element.
    raise_exception  False returns False instead of raising where values disagree.

    Raises GradcheckError that names the worst element and both its values; KinkError where the
    slopes from both sides differ, in every mode; NonFiniteError for nan and infinities.
    Parameters, buffers, gradients and the random state are afterwards what they were.

    >>> import chainrule
    >>> x = chainrule.tensor([0.5, -1.0], dtype=chainrule.float64, requires_grad=True)
    >>> chainrule.check.gradcheck(lambda x: (x * x).exp(), x)
    True

    Unlike PyTorch: random directions by default, so that whole models can be checked; float32 is
    allowed; kinks are refused rather than reported as errors.
    """
    with enable_grad(), _Frozen(f) as frozen:
        point = _variables("gradcheck", f, inputs, params)
        arguments = _as_tuple(inputs)
        problem = Problem("gradcheck", lambda: f(*arguments), point, frozen, seed)
        problem.tracked_outputs()
        return _verdict(problem, (eps, atol, rtol), fast, raise_exception)


def gradgradcheck(
    f: Callable[..., Any], inputs: Any = (), grad_outputs: Any = None, *, params: Any = None,
    eps: float | None = None, atol: float | None = None, rtol: float | None = None,
    raise_exception: bool = True, fast: bool = True, seed: int = 0,
) -> bool:  # fmt: skip
    """Whether the gradients of the gradients of f agree with central differences.

    Checks (x, v) -> v.df/dx as `gradcheck` checks f; `grad_outputs` are the v (random unless said).
    The other arguments, the errors and the differences from PyTorch are those of `gradcheck`.

    >>> import chainrule
    >>> x = chainrule.tensor([0.5, -1.0], dtype=chainrule.float64, requires_grad=True)
    >>> chainrule.check.gradgradcheck(lambda x: x.sin(), x)
    True
    """
    with enable_grad(), _Frozen(f) as frozen:
        point = _variables("gradgradcheck", f, inputs, params)
        arguments = _as_tuple(inputs)
        first = Problem("gradgradcheck", lambda: f(*arguments), point, frozen, seed)
        outputs = first.tracked_outputs()
        if grad_outputs is None:
            given = [wrap(np.asarray(first.rng.normal(size=y.shape), y.dtype)) for y in outputs]
        else:
            given = [v.detach() for v in _as_tuple(grad_outputs)]
        seeds = [v.requires_grad_() for v in given]

        def gradients() -> list[Tensor]:
            tensors = [x for _, x in point]
            found = grad(first.tracked_outputs(), tensors, seeds, create_graph=True,
                         allow_unused=True)  # fmt: skip
            return [g for g in found if g is not None]

        extended = [*point, *((f"grad_outputs[{i}]", v) for i, v in enumerate(seeds))]
        problem = Problem("gradgradcheck", gradients, extended, frozen, seed + 1)
        return _verdict(problem, (eps, atol, rtol), fast, raise_exception)


# ---------------------------------------------------------------- what is checked


def _as_tuple(inputs: Any) -> tuple[Any, ...]:
    return (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)


def _variables(name: str, f: Any, inputs: Any, params: Any) -> list[tuple[str, Tensor]]:
    """What is moved, under the name that an error gives it."""
    if not callable(f):
        raise ArgumentTypeError(f"{name}: needs a function, a Module or a loss", got=repr(f)[:60])
    found = [(f"inputs[{i}]", x) for i, x in enumerate(_as_tuple(inputs)) if _checked(x)]
    if isinstance(f, Module):
        found += [(n, p) for n, p in f.named_parameters() if _checked(p)]
    if params is not None:
        found += [(n, p) for n, p in _named(params) if _checked(p)]
    if not found:
        raise ArgumentError(
            f"{name}: expects at least one input tensor to require gradient",
            got=f"{len(_as_tuple(inputs))} inputs, none with requires_grad",
            fix="requires_grad=True on what is to be checked, or params=model.named_parameters()",
        )
    return found


def _checked(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _named(params: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(params, Module):
        yield from params.named_parameters()
        return
    listed: Iterable[Any] = (params,) if isinstance(params, Tensor) else params
    for i, p in enumerate(listed):
        yield p if isinstance(p, tuple) else (f"params[{i}]", p)


class _Frozen:
    """Everything that a call of f may change and that the next call must not notice."""

    def __init__(self, f: Any) -> None:
        self.random = get_rng_state()
        modules = f.modules() if isinstance(f, Module) else ()
        self.buffers = [
            (m, name, b, b._value.copy()) for m in modules for name, b in m._own_buffers()
        ]

    def __enter__(self) -> _Frozen:
        return self

    def __exit__(self, *exc: object) -> None:
        self.restore()

    def restore(self) -> None:
        """As it was before the first call."""
        set_rng_state(self.random)
        for module, name, b, value in self.buffers:
            b._value[...] = value
            module.__dict__[name] = b


class Problem:
    """A function of tensors that are moved, reduced to one number: the sum of weighted outputs."""

    def __init__(
        self, name: str, f: Callable[[], Any], point: list[tuple[str, Tensor]], frozen: _Frozen,
        seed: int,
    ) -> None:  # fmt: skip
        self.name = name
        self.f = f
        self.point = point
        self.frozen = frozen
        self.rng = np.random.default_rng(seed)
        self._weights: list[Any] | None = None

    def outputs(self) -> list[Tensor]:
        """The float outputs of one call, from the same random state as every other call."""
        self.frozen.restore()
        y = self.f()
        if not isinstance(y, (Tensor, tuple, list)):
            raise ArgumentTypeError(
                f"{self.name}: the function must return a Tensor or several",
                got=type(y).__name__,
            )
        listed = [y] if isinstance(y, Tensor) else list(y)
        return [t for t in listed if isinstance(t, Tensor) and t.dtype.kind == "f"]

    def tracked_outputs(self) -> list[Tensor]:
        """Those that depend on what is checked; raises where none does."""
        found = [y for y in self.outputs() if y.requires_grad]
        if not found:
            raise GradcheckError(
                f"{self.name}: no output depends on {', '.join(n for n, _ in self.point)[:80]}",
                expected="a float output that requires grad",
                fix="is something detached, cast to integers, or computed inside no_grad()?",
            )
        return found

    def weights(self) -> list[Any]:
        """One number an output element: 1 for a single output, else random."""
        if self._weights is None:
            listed = self.outputs()
            single = len(listed) == 1 and listed[0]._value.size == 1
            self._weights = [
                np.ones(y.shape) if single else self.rng.normal(size=y.shape) for y in listed
            ]
        return self._weights

    def value(self) -> tuple[float, float]:
        """The weighted sum in float64, and the size of the numbers that it is made of."""
        total = size = 0.0
        for y, w in zip(self.outputs(), self.weights(), strict=True):
            terms = y._value.astype(np.float64) * w
            total += float(terms.sum())
            size += float(np.abs(terms).sum())
        if not np.isfinite(total):
            raise NonFiniteError(f"{self.name}: the function gives {total} near the point", got=
                                 f"at {self.point[0][0]} and what else is checked")  # fmt: skip
        return total, size

    def gradients(self) -> list[Any]:
        """dL/dx of every checked tensor, by backpropagation."""
        weights = self.weights()
        pairs = [
            (y, wrap(w.astype(y.dtype)))
            for y, w in zip(self.outputs(), weights, strict=True)
            if y.requires_grad
        ]
        found = grad([y for y, _ in pairs], [x for _, x in self.point], [w for _, w in pairs],
                     materialize_grads=True)  # fmt: skip
        return [g._value.astype(np.float64) for g in found if g is not None]


@contextmanager
def _moved(x: Tensor, value: Any) -> Iterator[None]:
    """Within the block x has another value; afterwards the very array that it had before."""
    kept = x._value
    x._value = value
    try:
        yield
    finally:
        x._value = kept


# ---------------------------------------------------------------- measuring


class Slope(NamedTuple):
    """One directional derivative, from the rules and from differences."""

    analytic: float
    left: float
    right: float
    noise: float  # what rounding alone can do to the difference

    @property
    def numeric(self) -> float:
        return (self.left + self.right) / 2

    @property
    def error(self) -> float:
        return abs(self.numeric - self.analytic)

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)


class Measure:
    """Slopes of a problem along directions, at its point."""

    def __init__(self, problem: Problem, asked: Sequence[float | None]) -> None:
        for what, value in zip(Tolerance._fields, asked, strict=True):
            if value is not None and not (0 <= value < np.inf and (value or what != "eps")):
                low = "> 0" if what == "eps" else ">= 0"
                raise ArgumentError(f"{problem.name}: {what} must be {low}", got=repr(value))
        self.problem = problem
        self.asked = asked
        self.analytic = problem.gradients()
        self.here, self.size = problem.value()
        again, _ = problem.value()
        if again != self.here:
            raise GradcheckError(
                f"{problem.name}: the function gives different values for the same inputs",
                expected=repr(self.here),
                got=repr(again),
                fix="a fixed seed inside, or .eval()",
            )
        narrow = {x.dtype for _, x in problem.point} | {y.dtype for y in problem.outputs()}
        self.dtype = dtypes.float32 if dtypes.float32 in narrow else dtypes.float64

    @property
    def tolerance(self) -> Tolerance:
        """What was asked for, and what fits the narrowest dtype in play where nothing was."""
        usual = BY_DTYPE[self.dtype]
        return Tolerance(*(u if a is None else a for u, a in zip(usual, self.asked, strict=True)))

    def slope(self, i: int, direction: Any, step: float) -> Slope:
        """Along a direction in tensor i; the step is what the dtype really makes of it."""
        x = self.problem.point[i][1]
        ahead = np.asarray(x._value + step * direction, x.dtype)
        back = np.asarray(x._value - step * direction, x.dtype)
        taken = (ahead.astype(np.float64) - back) / (2 * step)
        with _moved(x, ahead):
            above, _ = self.problem.value()
        with _moved(x, back):
            below, _ = self.problem.value()
        noise = 4 * float(np.finfo(self.dtype).eps) * self.size / step
        return Slope(
            float((self.analytic[i] * taken).sum()),
            (self.here - below) / step,
            (above - self.here) / step,
            noise,
        )

    def allowed(self, s: Slope, elements: int) -> float:
        """How far the numbers may be apart along a unit direction over so many elements."""
        atol, rtol = self.tolerance.atol, self.tolerance.rtol
        return max(atol / elements**0.5, min(s.noise, atol)) + rtol * abs(s.analytic)

    def tried(self, i: int, direction: Any) -> tuple[Slope, bool]:
        """The slope along a unit direction, and whether it is right; raises at a kink.

        Where the slopes from both sides differ, a step a tenth as long tells: curvature shrinks
        with the step, a kink beside the point drops out, and one at the point stays.
        """
        x = self.problem.point[i][1]
        step = self.tolerance.eps * max(1.0, float((np.abs(x._value) * (direction != 0)).max()))
        elements = int((direction != 0).sum())
        s = self.slope(i, direction, step)
        if s.gap > self.allowed(s, elements):
            closer = self.slope(i, direction, step / 10)
            if closer.gap > max(s.gap / 3, self.allowed(closer, elements), closer.noise):
                raise self.kink(i, direction, closer)
            s = closer
        return s, s.error <= self.allowed(s, elements)

    def place(self, i: int, direction: Any) -> str:
        """`fc1.weight[2, 0]` for the direction of one element."""
        name = self.problem.point[i][0]
        if np.count_nonzero(direction) != 1:
            return f"{name} along a random direction"
        where = [int(n) for n in np.unravel_index(direction.argmax(), direction.shape)]
        return f"{name}{where or ''}"

    def kink(self, i: int, direction: Any, s: Slope) -> KinkError:
        """What is said where there is no derivative."""
        return KinkError(
            f"{self.problem.name}: the function has a kink here, at {self.place(i, direction)}",
            expected="one slope from both sides",
            got=f"{s.left:.6g} from below, {s.right:.6g} from above, analytic {s.analytic:.6g}",
            fix="another point: move the inputs a little, or use a smooth activation",
        )

    def contradiction(self, i: int, wrong: list[tuple[Any, Slope]]) -> GradcheckError:
        """What is said where values disagree: the worst place and both its values."""
        direction, s = max(wrong, key=lambda w: w[1].error)
        _, atol, rtol = self.tolerance
        more = f"; {len(wrong)} elements are wrong" if len(wrong) > 1 else ""
        return GradcheckError(
            f"{self.problem.name}: the gradient is wrong, worst at {self.place(i, direction)}",
            expected=f"numeric {s.numeric:.9g} (atol {atol:g}, rtol {rtol:g})",
            got=f"analytic {s.analytic:.9g}{more}",
            fix="look at the rules of the ops between this tensor and the output",
        )

    def wrong_elements(self, i: int, places: Iterable[int]) -> list[tuple[Any, Slope]]:
        """The directions of single elements whose slopes disagree, with the slopes."""
        wrong = []
        for place in places:
            direction = np.zeros(self.problem.point[i][1].shape)
            direction.reshape(-1)[place] = 1.0
            s, good = self.tried(i, direction)
            if not good:
                wrong.append((direction, s))
        return wrong

    def random_direction(self, i: int) -> Any:
        """A direction of length 1 in which every element takes part."""
        d = np.asarray(self.problem.rng.normal(size=self.problem.point[i][1].shape))
        return d / max(float(np.sqrt((d * d).sum())), 1e-30)

    def suspects(self, i: int, direction: Any) -> Any:
        """Places in tensor i to try one by one, after halving towards the larger error."""
        places = np.arange(direction.size)
        flat = direction.reshape(-1)
        while len(places) > SEARCHED:
            halves = np.array_split(places, 2)
            errors = []
            for half in halves:
                part = np.zeros_like(flat)
                part[half] = flat[half]
                errors.append(
                    self.slope(i, part.reshape(direction.shape), self.tolerance.eps).error
                )
            places = halves[int(errors[1] > errors[0])]
        return places


def _verdict(
    problem: Problem, asked: Sequence[float | None], fast: bool, raise_exception: bool
) -> bool:
    measure = Measure(problem, asked)
    for i, (_, x) in enumerate(problem.point):
        wrong: list[tuple[Any, Slope]] = []
        if not fast:
            wrong = measure.wrong_elements(i, range(x._value.size))
        elif x._value.size:
            direction = measure.random_direction(i)
            s, good = measure.tried(i, direction)
            if not good:
                suspects = measure.suspects(i, direction) if raise_exception else []
                wrong = measure.wrong_elements(i, suspects) or [(direction, s)]
        if wrong and raise_exception:
            raise measure.contradiction(i, wrong)
        if wrong:
            return False
    return True
