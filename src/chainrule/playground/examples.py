"""Networks from files, such as the article's 2-2-1, and what gradient descent makes of them."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from .. import nn
from ..derivation.network import Network
from ..tensor.create import tensor
from .network import KNOWN, Dense, Loss, Small
from .record import Recorded
from .training import Moment, Training, thinned

RATE, ENOUGH, MOST_STEPS = 0.1, 1e-6, 400
"""The learning rate of the article; where it is enough; where it ends anyway."""


def small_of(network: Network) -> Small:
    """A network of the derivations as one of the playground."""
    layers = [
        Dense(f"layer{i}", layer.weight, layer.bias, KNOWN.get(layer.activation))
        for i, layer in enumerate(network.layers, 1)
    ]
    return Small(layers, Loss(network.loss))


def model_of(net: Small) -> tuple[nn.Module, nn.Module]:
    """The same as modules, and the loss, to hold the page to."""
    model = nn.Sequential()
    kinds = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "softplus": nn.Softplus}
    for layer in net.layers:
        linear = nn.Linear(layer.weight.shape[0], layer.weight.shape[1], dtype=np.float64)
        linear.load_state_dict({"weight": tensor(layer.weight.T.copy()),
                                "bias": tensor(layer.bias.copy())})  # fmt: skip
        model.add_module(layer.name, linear)
        if layer.activation is not None:
            model.add_module(f"{layer.name}_out", kinds[layer.activation.name]())
    losses = {"mse": nn.MSELoss, "half": nn.QuadraticCost, "bce": nn.BCELoss}
    return model, losses[net.loss.kind]()


def descent(net: Small, x: Any, y: Any, most: int) -> Training:
    """Gradient descent on the one example, step by step, by the recorded step itself."""
    recorded = Recorded(net, x, y)
    keys = list(net.arrays())
    values = recorded.values
    moments = []
    for step in count():
        weights = {k: np.array(values[k]) for k in keys}
        loss = float(values["L"])
        moments.append(Moment(f"step {step}", loss, None, weights))
        if not ENOUGH <= loss < np.inf or step == MOST_STEPS:
            break
        moved = {k: w - RATE * values[f"d{k}"] for k, w in weights.items()}
        values = recorded.run({"x": values["x"], "y": values["y"], **moved})
    last = moments[-1]
    reached = f"until the loss is below {ENOUGH:g}: {last.at}" if last.loss < ENOUGH else (
        f"to {last.at}"
    )  # fmt: skip
    says = f"Gradient descent on this one example with learning rate {RATE:g}, {reached}."
    return Training(says, thinned(moments, max(most, 2)))
