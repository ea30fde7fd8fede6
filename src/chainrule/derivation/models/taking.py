"""A step of a copy of an optimizer: nothing of the user's moves."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...nn.utils import clip_grad_norm_
from ...optim import Optimizer
from ...tensor.core import Tensor, wrap


def stepped(
    optimizer: Optimizer, gradients: Mapping[Tensor, Any], clip: float | None
) -> tuple[Optimizer, list[tuple[Tensor, Tensor]], float]:
    """(a copy after its step, each parameter with its copy, what clipping multiplied by)."""
    twin = copy.deepcopy(optimizer)
    pairs = [
        (p, q) for g, h in zip(optimizer.param_groups, twin.param_groups, strict=True)
        for p, q in zip(g["params"], h["params"], strict=True)
    ]  # fmt: skip
    for p, q in pairs:
        g = gradients.get(p)
        q._grad = None if g is None else wrap(np.array(g))
    scale = 1.0
    if clip is not None:
        total = float(clip_grad_norm_([q for _, q in pairs], clip).item())
        scale = min(clip / (total + 1e-6), 1.0)
    twin.step()
    return twin, pairs, scale
