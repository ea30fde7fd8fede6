"""The checks before training.  A new one is one class: being defined registers it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ..check import GradcheckError, KinkError, gradcheck
from ..tensor.autograd import grad
from ..train.evaluation import mode
from ..train.watch import Probe
from ..train.watch.start import expected_loss
from .bench import ONE_BATCH, Bench, without_input
from .finding import ERROR, WARNING, listed
from .leak import leak_of
from .rules.loss import InitialLoss as InitialLossRule

CHECKS: dict[str, type[Check]] = {}
OK, SKIPPED = "ok", "skipped"

RULE = InitialLossRule()
"""Its thresholds hold before training as well as after."""

Result = tuple[str, str, str | None]
"""State (ok, warning, error, skipped), what was seen, what to try."""


class Check:
    """Base of the checks; the docstring's first line says what holds where it passes."""

    id: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        CHECKS[cls.id] = cls

    def run(self, bench: Bench) -> Result:
        """Tries it on copies of what is on the bench."""
        raise NotImplementedError


class Inputs(Check):
    """Inputs are finite, and on a scale that weights can take."""

    id = "inputs"

    def run(self, bench: Bench) -> Result:
        """Of the batch."""
        for x in (*bench.inputs, bench.y):
            if x.dtype.kind == "f" and not np.isfinite(x._value).all():
                bad = int((~np.isfinite(x._value)).sum())
                return (
                    ERROR,
                    f"{bad} values are nan or infinite",
                    "leave those rows out, or fill in",
                )
        floats = [x._value.astype(np.float64) for x in bench.inputs if x.dtype.kind == "f"]
        if not floats:
            return OK, "no floats among the inputs", None
        size = float(np.sqrt(np.mean([np.square(v).mean() for v in floats])))
        first = _first_float_layer(bench)
        size = first if first is not None else size
        text = f"they reach the first layer with a size of {size:.3g} (root of the mean square)"
        if size > 50 or 0 < size < 0.01:
            return WARNING, text, "inputs scaled to mean 0 and deviation 1"
        return OK, text, None


def _first_float_layer(bench: Bench) -> float | None:
    """The size of what the first layer with weights is given: a model may scale by itself."""
    seen: list[float] = []

    def look(module: Any, args: Any) -> None:
        if not seen and args and getattr(args[0], "dtype", None) is not None:
            value = args[0]._value
            if value.dtype.kind == "f":
                seen.append(float(np.sqrt(np.square(value, dtype=np.float64).mean())))

    layers = [m for m in bench.model.modules() if any(m._own_parameters())]
    handles = [m.register_forward_pre_hook(look) for m in layers]
    try:
        with mode(bench.model, False):
            bench.model(*bench.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen[0] if seen else None


class InitialLoss(Check):
    """The loss begins where an answer that knows nothing has it."""

    id = "loss-at-init"

    def run(self, bench: Bench) -> Result:
        """Of the batch, in evaluation mode."""
        with mode(bench.model, False):
            output = bench.model(*bench.inputs)
            first = float(bench.loss(output, bench.y).item())
        if not math.isfinite(first):
            return ERROR, f"the loss is {first}", "a smaller start of the weights, scaled inputs"
        known = expected_loss(bench.loss, output, bench.y._value)
        if known is None:
            return SKIPPED, f"{first:.4g}; what is expected of this loss is not known", None
        text = f"{first:.4g}, expected {known.value:.4g} ({known.why})"
        if not known.far(first, RULE.share, RULE.nats, RULE.times):
            return OK, text, None
        if first > known.value:
            return WARNING, text, "smaller weights in the last layer, its bias at the targets' mean"
        return (
            WARNING, f"{text}: the weights know something already",
            "a look whether the target is among the inputs",
        )  # fmt: skip


class Gradients(Check):
    """Backpropagation agrees with finite differences, in float64."""

    id = "gradcheck"

    def run(self, bench: Bench) -> Result:
        """Of every parameter along a random direction, on a few rows."""
        trial = bench.copied(double=True)
        few = trial.rows(6)
        few.model.train()
        names = sum(p.requires_grad for p in few.model.parameters())
        params = [(n, p) for n, p in few.model.named_parameters() if p.requires_grad]
        if not params:
            return SKIPPED, "no parameter asks for a gradient", None
        try:
            gradcheck(few.value, params=params)
        except KinkError as error:
            return SKIPPED, f"no derivative at this point: {error.got or error.problem}", None
        except GradcheckError as error:
            return ERROR, error.problem, error.fix or "a look at the rule of that operation"
        return OK, f"{names} parameters agree with finite differences", None


class Reached(Check):
    """Every parameter gets a gradient, and belongs to the optimizer."""

    id = "unchanged-weight"

    def run(self, bench: Bench) -> Result:
        """From one backward pass on a copy."""
        trial = bench.copied()
        trial.model.train()
        wanted = {n: p for n, p in trial.model.named_parameters() if p.requires_grad}
        if not wanted:
            return ERROR, "no parameter asks for a gradient", "requires_grad_(True)"
        loss = trial.value()
        if not loss.requires_grad:
            return ERROR, "the loss does not depend on any parameter", \
                "without detach(), numpy() or item() on the way to the loss"  # fmt: skip
        loss.backward()
        none = [n for n, p in wanted.items() if p.grad is None]
        zero = [n for n, p in wanted.items() if p.grad is not None and not p.grad._value.any()]
        if none:
            return ERROR, f"no gradient reaches {listed(none)}", \
                "a model that uses them, without detach() on the way"  # fmt: skip
        if bench.optimizer is not None:
            held = {id(p) for g in bench.optimizer.param_groups for p in g["params"]}
            out = [n for n, p in bench.model.named_parameters()
                   if p.requires_grad and id(p) not in held]  # fmt: skip
            if out:
                return ERROR, f"not among the optimizer's parameters: {listed(out)}", \
                    "an optimizer made of model.parameters() when it is complete"  # fmt: skip
        if zero:
            return WARNING, f"the gradient of {listed(zero)} is 0 everywhere", \
                "a start that leaves units alive (kaiming, xavier), scaled inputs"  # fmt: skip
        return OK, f"a gradient reaches all {len(wanted)} parameters", None


class Twins(Check):
    """No two units of a layer have equal weights and gradients."""

    id = "symmetry"

    def run(self, bench: Bench) -> Result:
        """Of the rows of every weight."""
        layers = Probe(bench.model, bench.loss, (*bench.inputs, bench.y)).measure(find_twins=True)
        found = [x for x in layers if x.twins]
        if found:
            groups = found[0].twins or []
            return ERROR, f"{sum(map(len, groups))} units of {found[0].name} are alike (units " \
                f"{listed(groups[0])})", "a random start of the weights"  # fmt: skip
        return OK, f"units differ in all {len(layers)} layers", None


class Independent(Check):
    """The output for an example depends on that example alone."""

    id = "batch-leak"

    def run(self, bench: Bench) -> Result:
        """By backpropagation from one output, in evaluation mode."""
        if len(bench.y) < 2:
            return SKIPPED, "it takes two examples", None
        with mode(bench.model, False):
            found = leak_of(bench.model, bench.inputs)
        if found is not None:
            return ERROR, found, "reshape(len(x), -1), never reshape(-1, n); reductions over dim=-1"
        return OK, "d out[0] / d in[j] is 0 for every other example j", None


class OneBatch(Check):
    """One batch can be learned by heart, and the inputs help."""

    id = "overfit-one-batch"
    steps = 150

    def run(self, bench: Bench) -> Result:
        """By Adam on a copy without dropout, at two learning rates; then with inputs of 0."""
        best, lr = math.inf, 0.0
        first = math.nan
        for rate in (1e-2, 1e-3, 0.1):
            trial = bench.rows(ONE_BATCH).copied()
            trial.model.train()
            losses = list(trial.learn(rate, self.steps))
            first, last = losses[0], float(trial.value().item())
            right = trial.all_right()
            if math.isfinite(last) and last < best:
                best, lr = last, rate
            if right or (right is None and last < 0.1 * first):
                return self._against_nothing(bench, rate, len(losses), first, last)
        state = ERROR if not best < 0.5 * first else WARNING
        return state, f"the loss of {len(trial.y)} rows only went from {first:.4g} to {best:.4g} " \
            f"(Adam, lr {lr:g})", "a look at the loss and the last activation"  # fmt: skip

    def _against_nothing(
        self, bench: Bench, rate: float, steps: int, first: float, last: float
    ) -> Result:
        trial = bench.rows(ONE_BATCH).copied()
        trial.inputs = without_input(trial.inputs)
        trial.model.train()
        nothing = min(trial.learn(rate, steps))
        text = f"loss {first:.4g} -> {last:.4g} in {steps} steps; {nothing:.4g} with inputs of 0"
        distinct = len(np.unique(bench.y._value[:ONE_BATCH], axis=0)) > 1
        if distinct and not last < 0.9 * nothing:
            return ERROR, f"{text}: the inputs do not help", \
                "a look whether inputs reach the layers and fit their targets"  # fmt: skip
        return OK, text, None


class Zeroed(Check):
    """The training step begins with gradients of 0, and changes every weight."""

    id = "grads-not-zeroed"

    def run(self, bench: Bench) -> Result:
        """From two calls of the step: does p.grad hold the sum of both gradients?"""
        if bench.step is None:
            return SKIPPED, "no training step was given (step=)", None
        named = [(n, p) for n, p in bench.model.named_parameters() if p.requires_grad]
        weights = [p._value.copy() for _, p in named]
        try:
            bench.step(*bench.inputs, bench.y)
            first = [None if p.grad is None else p.grad._value.copy() for _, p in named]
            middle = [p._value.copy() for _, p in named]
            bench.step(*bench.inputs, bench.y)
            second = [None if p.grad is None else p.grad._value.copy() for _, p in named]
            for (_, p), value in zip(named, middle, strict=True):
                p._value[...] = value
            fresh = self._fresh(bench, [p for _, p in named])
        finally:
            for (_, p), value in zip(named, weights, strict=True):
                p._value[...] = value
        summed = [
            n for (n, _), a, b, c in zip(named, first, second, fresh, strict=True)
            if a is not None and b is not None and c is not None and a.any()
            and np.allclose(b - c, a, rtol=1e-3, atol=1e-4 * np.abs(a).max())
            and not np.allclose(b, c, rtol=1e-3, atol=1e-4 * np.abs(a).max())
        ]  # fmt: skip
        if summed:
            return ERROR, f"after the second step the gradient of {listed(summed)} is the sum of " \
                "both steps'", "optimizer.zero_grad() before loss.backward()"  # fmt: skip
        still = [n for (n, _), a, b in zip(named, weights, middle, strict=True)
                 if np.array_equal(a, b)]  # fmt: skip
        if still:
            return ERROR, f"the step leaves {listed(still)} as it was", \
                "optimizer.step() after backward(), and an optimizer that holds it"  # fmt: skip
        return OK, f"two steps: gradients are fresh, all {len(named)} parameters move", None

    def _fresh(self, bench: Bench, parameters: list[Any]) -> list[Any]:
        found = grad(bench.value(), parameters, allow_unused=True)
        return [None if g is None else g._value for g in found]
