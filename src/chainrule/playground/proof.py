"""The page's numbers against backward() of the user's own model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .. import nn
from ..errors import ChainruleError
from ..tensor.create import tensor
from .network import Small, one_hot
from .record import Recorded

WITHIN = 1e-10
"""The largest difference, as a share of the largest number of an array."""


class PlaygroundError(ChainruleError, ArithmeticError):
    """The page would show other numbers than the engine computes: our mistake."""


def proved(net: Small, model: nn.Module, loss: nn.Module, x: Any, y: Any) -> str:
    """A sentence on the agreement; raises PlaygroundError where there is none.

    The model is run in float64 and evaluation mode, in a copy.
    """
    twin = copy.deepcopy(model).double().eval()
    given = tensor(np.asarray(x, np.float64).reshape(1, -1))
    target = np.asarray(y)
    classes = net.loss.kind == "cross_entropy"
    wanted = (
        tensor(target.reshape(1).astype(np.int64))
        if classes
        else tensor(target.astype(np.float64).reshape(1, -1))
    )
    found = loss(twin(given), wanted)
    found.backward()
    pairs = [("the loss", np.asarray(found.detach()), "L")]
    own = dict(twin.named_parameters())
    for i, layer in enumerate(net.layers, 1):
        prefix = layer.path(own)
        pairs.append((f"{layer.name}.weight", np.asarray(own[f"{prefix}weight"].grad).T, f"dW{i}"))
        if layer.bias is not None:
            pairs.append((f"{layer.name}.bias", np.asarray(own[f"{prefix}bias"].grad), f"db{i}"))
    shown = Recorded(net, x, one_hot(y, net.sizes[-1]) if classes else y).values
    worst = 0.0
    for name, engine, key in pairs:
        apart = float(np.abs(shown[key] - engine).max(initial=0.0))
        share = apart / max(float(np.abs(engine).max(initial=0.0)), 1e-300) if apart else 0.0
        if not share <= WITHIN:
            raise PlaygroundError(
                f"playground: {name} is not what backward() gives", got=f"{share:.1e} apart"
            )
        worst = max(worst, share)
    count = sum(p.numel() for p in own.values())
    agree = f"worst relative difference {worst:.0e}" if worst else "to the last bit"
    return (
        f"Held to the engine: the loss and all {count} gradients agree with backward() of the "
        f"model in float64, {agree}."
    )
