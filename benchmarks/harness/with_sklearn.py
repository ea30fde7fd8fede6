"""scikit-learn: MLPClassifier and MLPRegressor, started from the workload's weights."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .dense import Dense
from .workload import Absent, Workload, library

NAMES = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}


def started(base: type, workload: Dense) -> type:
    """The estimator's class with our initial weights in place of drawn ones."""
    weights = workload.weights

    class Started(base):
        def _initialize(self, *args: Any) -> None:
            self.waiting = workload.names()
            super()._initialize(*args)

        def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> Any:
            name = self.waiting.pop(0)
            return weights[f"{name}.weight"].T.copy(), weights[f"{name}.bias"].copy()

    return Started


class SklearnFit:
    """One call of fit for a run: each starts again from the initial weights.

    Its squared error is half the mean, and its gradient half the sum over the outputs; SGD's rate
    and the losses are put right for that.  It keeps one loss an epoch, the mean.
    """

    whole_epochs = True
    epoch_means = True

    def __init__(self, workload: Workload, threads: int) -> None:
        if "sklearn" in workload.absent:
            raise Absent(workload.absent["sklearn"])
        assert isinstance(workload, Dense)
        module = library("sklearn.neural_network")
        self.exceptions = library("sklearn.exceptions")
        self.workload = workload
        self.base = module.MLPClassifier if workload.classes else module.MLPRegressor
        rule, outputs = workload.optimizer, workload.sizes[-1]
        self.scale = 1.0 if workload.classes else 2.0
        rate = rule.lr if rule.name == "Adam" or workload.classes else rule.lr * 2 / outputs
        self.settings = {
            "hidden_layer_sizes": workload.sizes[1:-1], "solver": rule.name.lower(), "alpha": 0.0,
            "activation": NAMES[workload.activation], "batch_size": workload.batch,
            "learning_rate_init": rate, "shuffle": False, "tol": 0.0, "momentum": 0.0,
            "nesterovs_momentum": False, "n_iter_no_change": 10**9,
        }  # fmt: skip
        x, y = workload.arrays
        self.x, self.y = x, y if workload.classes or outputs > 1 else y[:, 0]

    def run(self, epochs: int) -> list[float]:
        """One fit of so many epochs; its mean losses."""
        model = started(self.base, self.workload)(max_iter=epochs, **self.settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.exceptions.ConvergenceWarning)
            model.fit(self.x, self.y)
        return model.loss_curve_

    def every_loss(self, epochs: int) -> np.ndarray:
        """The mean of the workload's own loss in every epoch."""
        return self.scale * np.array(self.run(epochs))
