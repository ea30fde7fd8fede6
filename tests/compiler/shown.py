"""The programs whose texts lie in golden/: each as a traced Graph."""

from __future__ import annotations

import numpy as np

from chainrule import functional as F
from chainrule import graph as G
from chainrule import ops
from chainrule.grad import gradients
from chainrule.ops.core import Spec

f32 = np.dtype(np.float32)


def spec(*shape, dtype=f32):
    return Spec(shape, dtype)


def recorded(f, updates=0, **specs):
    """f's program; its first `updates` inputs take over its last outputs."""
    graph = G.trace(f, *specs.values(), names=list(specs))
    kept = len(graph.outputs) - updates
    results = zip(graph.inputs, graph.outputs[kept:], strict=False)
    return G.Graph(graph.inputs, graph.nodes, graph.outputs[:kept], list(results))


def two_layers():
    """One step of gradient descent on a network of 2-2-1."""

    def step(w1, b1, w2, b2, x, t):
        h = F.relu(F.linear(x, w1, b1))
        loss = F.mse_loss(F.linear(h, w2, b2), t)
        weights = [w1, b1, w2, b2]
        slopes = gradients(loss, weights)
        return [loss, *(w - g * 0.5 for w, g in zip(weights, slopes, strict=True))]

    return recorded(
        step, 4, w1=spec(2, 2), b1=spec(2), w2=spec(1, 2), b2=spec(1), x=spec(4, 2), t=spec(4, 1)
    )


def cross_entropy():
    """The loss of 10 classes and its gradient, for 8 rows."""

    def step(z, labels):
        loss = F.cross_entropy(z, labels)
        return [loss, *gradients(loss, [z])]

    return recorded(step, z=spec(8, 10), labels=spec(8, dtype=np.dtype(np.int64)))


def adam():
    """Adam's update of 100 parameters."""

    def step(p, m, v, g, lr, correction1, correction2):
        m = m * 0.9 + g * 0.1
        v = v * 0.999 + g * g * 0.001
        p = p - lr * (m / correction1) / (ops.sqrt(v / correction2) + 1e-8)
        return [p, m, v]

    numbers = {name: spec() for name in ("lr", "correction1", "correction2")}
    return recorded(step, 3, **{n: spec(100) for n in "pmvg"}, **numbers)


def convolution():
    """A 3 x 3 convolution of 2 images, 3 to 8 channels, and its bias and relu."""

    def forward(x, w, b):
        return [F.relu(F.conv2d(x, w, b, padding=1))]

    return recorded(forward, x=spec(2, 3, 12, 12), w=spec(8, 3, 3, 3), b=spec(8))


def pooling():
    """The greatest of 2 x 2 in 2 images of 16 channels, which stand last, and its gradient."""

    def step(x, w, g):
        h = ops.matmul(ops.reshape(x, shape=(72, 8)), w, tb=True)
        h = ops.permute(ops.reshape(h, shape=(2, 6, 6, 16)), axes=(0, 3, 1, 2))
        y = F.max_pool2d(h, 2)
        return [y, *gradients(y, [h], g=g)]

    return recorded(step, x=spec(2, 6, 6, 8), w=spec(16, 8), g=spec(2, 16, 3, 3))


def products():
    """Two layers one after the other and the gradient of the first: operands from all sides."""

    def step(x, w1, w2, g):
        h = ops.tanh(ops.matmul(x, w1, tb=True))
        y = ops.matmul(h, w2, tb=True)
        return [y, *gradients(y, [w1, x], g=g)]

    return recorded(step, x=spec(48, 20), w1=spec(40, 20), w2=spec(24, 40), g=spec(48, 24))


SHOWN = {f.__name__: f for f in (two_layers, cross_entropy, adam, convolution, pooling, products)}
