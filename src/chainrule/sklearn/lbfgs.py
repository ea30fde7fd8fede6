"""L-BFGS-B of SciPy over a compiled function that gives the loss and its gradient."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from ..tensor.core import Tensor
from .kit import AT_A_TIME, Kit
from .network import dense
from .training import Progress


class Surface:
    """The loss over all rows as a function of one flat vector of weights, in float64."""

    def __init__(self, kit: Kit, x: Any, y: Any, w: Any) -> None:
        self.kit, self.x, self.y, self.w = kit, x, y, w
        self.parameters: list[Tensor] = kit.parameters()
        self.total = float(w.sum()) or 1.0
        self.shown = np.nan  # the loss as it is reported, at `at`
        self.at: Any = None
        self.chunk = max(AT_A_TIME // max(x.shape[1], 1), 1) if hasattr(x, "toarray") else len(x)
        kit.alpha._value[...] /= -(-x.shape[0] // self.chunk)  # every chunk adds its penalty

    def start(self) -> Any:
        """The weights as they are."""
        return np.concatenate([p._value.ravel() for p in self.parameters]).astype(np.float64)

    def put(self, flat: Any) -> None:
        """Weights from a flat vector."""
        place = 0
        for p in self.parameters:
            end = place + p._value.size
            np.copyto(p._value, flat[place:end].reshape(p.shape))
            place = end

    def __call__(self, flat: Any) -> tuple[float, Any]:
        """Loss and gradient."""
        self.put(flat)
        loss, shown, slope = 0.0, 0.0, np.zeros_like(flat)
        for start in range(0, self.x.shape[0], self.chunk):
            rows = slice(start, start + self.chunk)
            w = self.w[rows]
            share = (float(w.sum()) or 1.0) / self.total
            x = dense(self.x[rows], w.dtype)
            value, told, gradients = self.kit.loss_and_gradient(x, self.y[rows], w)
            loss += share * float(value._value)
            shown += share * float(told._value)
            slope += share * np.concatenate([g._value.ravel() for g in gradients])
        self.at, self.shown = flat.copy(), shown
        return loss, slope


def minimize(est: Any, kit: Kit, x: Any, y: Any, w: Any, progress: Progress) -> None:
    """Goes to a minimum from the weights of the kit's network, and leaves them there."""
    surface = Surface(kit, x, y, w)
    step = 0

    def told(intermediate_result: Any) -> None:
        nonlocal step
        step += 1
        if est.verbose:
            print(f"Iteration {step}, loss = {intermediate_result.fun:.8f}")

    # a BLAS thread takes longer to wake than SciPy's small triangular solves take
    with np.errstate(over="ignore", invalid="ignore"), threadpool_limits(1, "blas"):
        result = scipy.optimize.minimize(
            surface, surface.start(), method="L-BFGS-B", jac=True, callback=told,
            options={"maxfun": est.max_fun, "maxiter": est.max_iter, "gtol": est.tol},
        )  # fmt: skip
    if not np.array_equal(surface.at, result.x):
        surface(result.x)
    progress.n_iter_ = min(result.nit, est.max_iter)
    progress.loss_ = surface.shown
    if not np.isfinite(surface.shown):
        raise ValueError(_overflowed(surface, progress.n_iter_))
    if result.status:
        _warn(result, progress.n_iter_, est.max_iter)


def _overflowed(surface: Surface, steps: int) -> str:
    """That the loss is no number, and what is likely to mend it."""
    return (
        "Solver produced a non-finite loss. The input data may contain large values and need to "
        f"be preprocessed. The loss is {surface.shown} after {steps} iteration(s) of lbfgs; the "
        f"largest input is {np.abs(surface.x).max():.3g}. Try StandardScaler()."
    )


def _warn(result: Any, steps: int, most: int) -> None:
    text = f"lbfgs failed to converge after {steps} iteration(s) (status={result.status}):\n"
    text += f"{result.message}\n"
    if steps == most:
        text += f"\nIncrease the number of iterations to improve the convergence (max_iter={most})."
    text += "\nYou might also want to scale the data, as StandardScaler does."
    warnings.warn(text, ConvergenceWarning, stacklevel=5)
