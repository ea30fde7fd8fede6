"""What MLPClassifier and MLPRegressor share: one fit, from the arguments to the weights."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .. import nn
from ..tensor.random import Generator, drawing_from
from .classes import labels_of
from .copies import Copied
from .inputs import checked, in_pairs, row_weights, split
from .kit import KITS, Data, Kit
from .lbfgs import minimize
from .network import Design, Network, for_each_layer
from .objective import Loss
from .parameters import (
    FLOATS,
    MLP,
    check_callbacks,
    check_class_weight,
    check_layers,
    check_monitors,
    check_parameters,
    check_used,
    hidden_sizes,
)
from .solvers import as_arrays, make_schedule
from .training import Progress, Training, Validation

NETWORKS: Any = weakref.WeakKeyDictionary()
"""The network of each estimator that has predicted: no part of it, and never stored with it."""
EPOCHS_ONLY = ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")


class BaseMLP(Copied, BaseEstimator):  # type: ignore[misc]
    """A fit of a dense network; subclasses say what targets and losses are."""

    _parameter_constraints: ClassVar[dict[str, Any]] = MLP
    _instead: ClassVar[dict[str, str]] = {
        "activation": "its name or its class, or a function of a module that can be imported",
        "loss": "a function of a module that can be imported, which makes and calls it",
    }
    _solver_state: dict[str, Any]

    # ------------------------------------------------------------ what subclasses say

    def _read(self, x: Any, y: Any, reset: bool, keep: bool) -> tuple[Any, Any]:
        """Inputs and targets (rows, outputs), checked; keep: whether known classes stay."""
        raise NotImplementedError

    def _loss(self, weighted: bool) -> Loss:
        """The loss and its output; weighted: whether rows count differently."""
        raise NotImplementedError

    def _scored(self, loss: Loss, y: Any, w: Any) -> Callable[[Any], float]:
        """The score of outputs against targets of `_read`."""
        raise NotImplementedError

    def _weighted(self, y: Any, w: Any, incremental: bool) -> Any:
        """The rows' weights with those of their classes."""
        return w

    # ------------------------------------------------------------ the arguments

    def _check(self) -> None:
        check_parameters(self)
        check_layers(self)
        check_class_weight(self)
        check_callbacks(self)
        check_used(self)
        hidden_sizes(self)

    def _floats(self) -> Any:
        """What X is converted to: what it is, or the one type asked for."""
        return FLOATS if self.dtype is None else np.dtype(self.dtype)

    def _design(self, units: tuple[int, ...], dtype: Any) -> Design:
        hidden = len(units) - 2
        dropout = for_each_layer("dropout", self.dropout, hidden)
        activations = for_each_layer("activation", self.activation, hidden)
        return Design(
            units, activations, bool(self.batch_norm), tuple(float(p) for p in dropout),
            np.dtype(dtype).name,
        )  # fmt: skip

    def _fit(
        self, x: Any, y: Any, sample_weight: Any, held: tuple[Any, Any], incremental: bool
    ) -> BaseMLP:
        """`fit` (or one epoch of it, incremental); held: the user's own validation data."""
        self._check()
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        x, y = self._read(x, y, first, incremental)
        floats = np.float64 if self.solver == "lbfgs" else x.dtype
        w = self._weighted(y, row_weights(sample_weight, x, floats), incremental)
        rng = check_random_state(self.random_state)
        design = self._design((x.shape[1], *hidden_sizes(self), y.shape[1]), floats)
        progress = Progress(self.early_stopping) if first else Progress.of(self)
        if incremental and progress.stopped_early_:
            return self
        kit = KITS.take(design, self._loss(not (w == 1).all()), self)
        kit.begin(self)
        if first:
            kit.network.put(*self._drawn(design, rng), kit.network.fresh)
        else:
            kit.network.put(self.coefs_, self.intercepts_, self.module_state_)
        if self.solver == "lbfgs":
            minimize(self, kit, x, targets(kit.loss, y, floats), w, progress)
        else:
            self._epochs(kit, (x, y, w), progress, rng, held, incremental)
        self._finish(kit, progress, x.dtype)
        KITS.give_back(kit, self)
        return self

    def _drawn(self, design: Design, rng: Any) -> tuple[list[Any], list[Any]]:
        """Weights and biases drawn as scikit-learn does: Glorot's uniform distribution.

        U(-r, r) with r = sqrt(6 / (inputs + outputs)), and 2 in place of 6 for 'logistic'.
        """
        coefs, intercepts = [], []
        kinds = design.activations or (self.activation,)  # which counts without hidden layers too
        for i, (n, m) in enumerate(pairwise(design.units)):
            near = kinds[min(i, len(kinds) - 1)]
            bound = np.sqrt((2.0 if near == "logistic" else 6.0) / (n + m))
            coefs.append(rng.uniform(-bound, bound, (n, m)).astype(design.dtype))
            intercepts.append(rng.uniform(-bound, bound, m).astype(design.dtype))
        return coefs, intercepts

    def _epochs(
        self, kit: Kit, rows: tuple[Any, Any, Any], progress: Progress, rng: Any,
        held: tuple[Any, Any], incremental: bool,
    ) -> None:  # fmt: skip
        """The stochastic solvers."""
        design, dtype = kit.design, np.dtype(kit.design.dtype)
        rows, validation = self._held_out(kit, rows, held, rng)
        x, y, w = rows
        y = targets(kit.loss, y, dtype)
        x = x if hasattr(x, "toarray") else np.ascontiguousarray(x)
        fills = design.by_row and bool(kit.loss.name)
        data = Data(x, y, w, self._batch(x.shape[0]), design, fills)
        schedule = make_schedule(self, kit.optimizer, progress.t_, data.rows)
        if incremental and hasattr(self, "_solver_state"):
            _load(self._solver_state, kit.optimizer, schedule)
        generator = None
        if any(design.dropout) or not design.plain:
            # from a copy: the order of the rows is that of a network without them
            seed = copy.deepcopy(rng).randint(np.iinfo(np.int32).max)
            generator = Generator().manual_seed(int(seed))
        check_monitors(self, validation is not None)
        training = Training(self, kit, data, progress, rng, schedule, validation)
        with drawing_from(generator):
            training.fit(incremental)
        decided = validation is not None and validation.decides and progress._best is not None
        if decided and (not incremental or progress.stopped_early_):
            kit.network.put(*progress._best[0])
        self._solver_state = {
            "optimizer": as_arrays(kit.optimizer), "schedule": schedule and schedule.state_dict()
        }  # fmt: skip

    def _batch(self, rows: int) -> int:
        if self.batch_size == "auto":
            return min(200, rows)
        if self.batch_size > rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped.", stacklevel=5,
            )  # fmt: skip
        return min(int(self.batch_size), rows)

    def _held_out(
        self, kit: Kit, rows: tuple[Any, Any, Any], held: tuple[Any, Any], rng: Any
    ) -> tuple[tuple[Any, Any, Any], Validation | None]:
        """The rows to learn from, and those held out: the user's own, or a share of his."""
        x, y, w = rows
        if held[0] is not None:
            xv, yv = self._read(*held, False, True)
            wv = np.ones(len(yv), w.dtype)
        elif self.early_stopping:
            by = labels_of(self, y) if is_classifier(self) and y.shape[1] == 1 else None
            x, xv, y, yv, w, wv = split(self, (x, y, w), rng, by)
            if xv.shape[0] < 2:
                raise ValueError(
                    "The validation set is too small. Increase 'validation_fraction' or the size "
                    "of your dataset."
                )
        else:
            return rows, None
        decides = self.early_stopping_metric if self.early_stopping else None
        known = targets(kit.loss, yv, np.dtype(kit.design.dtype))
        score = self._scored(kit.loss, yv, None if (wv == 1).all() else wv)
        return (x, y, w), Validation(xv, known, wv, score, decides)

    def _finish(self, kit: Kit, progress: Progress, dtype: Any) -> None:
        """The fitted attributes."""
        coefs, intercepts, others = kit.network.taken()
        if not all(np.isfinite(a).all() for a in (*coefs, *intercepts, *others.values())):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        self.coefs_ = [a.astype(dtype, copy=False) for a in coefs]
        self.intercepts_ = [a.astype(dtype, copy=False) for a in intercepts]
        self.module_state_ = others
        self._design_ = kit.design._replace(dtype=np.dtype(dtype).name)
        self.n_layers_, self.n_outputs_ = len(kit.design.units), kit.design.units[-1]
        self.out_activation_ = kit.loss.out_activation
        for name, value in vars(progress).items():
            if self.solver != "lbfgs" or name not in EPOCHS_ONLY:
                setattr(self, name, value)

    # ------------------------------------------------------------ what comes of it

    def _outputs(self, x: Any) -> Any:
        """The last layer's outputs for checked inputs."""
        network = NETWORKS.get(self)
        if network is None or network.design != self._design_:
            network = NETWORKS[self] = Network(self._design_)
        network.put(self.coefs_, self.intercepts_, self.module_state_)
        return network.outputs(x)

    def _predictions(self, x: Any) -> Any:
        """What the network predicts for X as the user has it."""
        check_is_fitted(self)
        x = checked(self, x, dtype=self._floats(), reset=False)
        return self._loss(False).link(self._outputs(x))

    def to_module(self) -> nn.Sequential:
        """The fitted network as an nn.Module of its own, in evaluation mode.

        Its outputs come before the output activation: logits, for a classifier.
        """
        check_is_fitted(self)
        network = Network(self._design_)
        network.put(self.coefs_, self.intercepts_, self.module_state_)
        return network.module.eval()

    def _has_epochs(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
            )
        return True

    def _held(self, x: Any, y: Any) -> tuple[Any, Any]:
        in_pairs(x, y)
        if x is not None and self.solver == "lbfgs":
            raise ValueError("X_val is for solvers that go by epochs, not for solver='lbfgs'.")
        return x, y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def targets(loss: Loss, y: Any, dtype: Any) -> Any:
    """Targets as a loss takes them: numbers like the outputs, or the classes by number."""
    return np.argmax(y, 1) if loss.numbers else np.ascontiguousarray(y, dtype)


def _load(state: dict[str, Any], optimizer: Any, schedule: Any) -> None:
    """Optimizer and schedule as the last fit left them."""
    if schedule is not None and state["schedule"] is not None:
        schedule.load_state_dict(state["schedule"])
    optimizer.load_state_dict(state["optimizer"])
