"""Programs that tests compile, with arrays to run them on."""

from __future__ import annotations

import numpy as np

from chainrule import functional as F
from chainrule import graph as G
from chainrule import ops
from chainrule.grad import gradients


def scaled(factor=2.0, n=5):
    """y = factor * x."""
    return G.trace(lambda x: x * factor, np.zeros(n, np.float32))


def training_step(layers=2, n=19, rows=6, seed=0):
    """One step of gradient descent on a small network: (graph, arrays)."""
    rng = np.random.default_rng(seed)
    shapes = [(rows, n), (rows, n)] + [s for _ in range(layers) for s in ((n, n), (n,))]
    arrays = [rng.normal(size=s).astype(np.float32) for s in shapes]

    def step(x, t, *weights):
        h = x
        for w, b in zip(weights[::2], weights[1::2], strict=True):
            h = ops.tanh(F.linear(h, w, b))
        d = h - t
        loss = ops.sum(d * d, axis=(0, 1), keepdim=False) * (1 / (rows * n))
        slopes = gradients(loss, list(weights))
        return [loss, *[w - g * 0.01 for w, g in zip(weights, slopes, strict=True)]]

    return G.trace(step, *arrays), arrays


def same(found, wanted):
    """Whether two lists of arrays are equal to the last bit."""
    return len(found) == len(wanted) and all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(found, wanted, strict=True)
    )
