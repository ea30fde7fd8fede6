"""Estimators to try, and data for them."""

from __future__ import annotations

import pytest
from sklearn.datasets import make_classification, make_regression

from chainrule import nn
from chainrule import sklearn as ours


def two_layers(in_features, out_features, hidden=8):
    """A network whose sizes are handed to it."""
    return nn.Sequential(
        nn.Linear(in_features, hidden), nn.Tanh(), nn.Linear(hidden, out_features)
    )  # fmt: skip


def estimators(**settings):
    """One of each kind, small and quick."""
    mlp = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0, **settings}
    net = {"max_epochs": 5, "lr": 0.01, "random_state": 0, **settings}
    return [
        ours.MLPClassifier(**mlp), ours.MLPRegressor(**mlp),
        ours.NeuralNetClassifier(two_layers, **net), ours.NeuralNetRegressor(two_layers, **net),
    ]  # fmt: skip


def quick(cases, *fast):
    """All cases as parameters; those that are not named are slow."""
    return [pytest.param(c, id=str(c), marks=[] if c in fast else pytest.mark.slow) for c in cases]


def name_of(estimator):
    return type(estimator).__name__


def data_for(estimator, rows=60):
    """Inputs and targets that suit it."""
    if "Classifier" in name_of(estimator):
        return make_classification(rows, 6, n_informative=4, n_classes=3, random_state=3)
    x, y = make_regression(rows, 6, random_state=3)
    return x, y / 50


ALL_SCHEDULES = {
    "CosineAnnealingLR": {"T_max": 5},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "LinearLR": {},
    "PolynomialLR": {},
    "WarmupCosineLR": {"warmup_steps": 2, "total_steps": 6},
    "OneCycleLR": {"max_lr": 0.2, "total_steps": 8},
    "ReduceLROnPlateau": {"patience": 0},
    "ConstantLR": {},
    "ExponentialLR": {"gamma": 0.9},
    "LambdaLR": {"lr_lambda": lambda epoch: 1 / (epoch + 1)},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.9},
    "MultiStepLR": {"milestones": [2, 4]},
    "StepLR": {"step_size": 2},
}
"""Arguments for every schedule that needs no other schedule."""
