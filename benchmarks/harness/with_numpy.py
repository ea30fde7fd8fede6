"""NumPy by hand: dense networks, all parameters in one buffer so that an update is a few calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dense import Dense
from .eager import Steps, cut
from .workload import Absent, Workload


def activate(name: str | None, z: np.ndarray) -> np.ndarray:
    """The activation, written over its input."""
    if name == "relu":
        return np.maximum(z, 0.0, out=z)
    if name == "tanh":
        return np.tanh(z, out=z)
    if name == "sigmoid":
        np.negative(z, out=z)
        np.exp(z, out=z)
        z += 1.0
        return np.reciprocal(z, out=z)
    return z


def slope(name: str | None, g: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The gradient before an activation from that after it, and its output y."""
    if name == "relu":
        g *= y > 0
    elif name == "tanh":
        g *= 1.0 - y * y
    elif name == "sigmoid":
        g *= y * (1.0 - y)
    return g


class Net:
    """Weights (in, out) and biases of a dense network as views of one buffer; so its gradients."""

    def __init__(self, workload: Dense) -> None:
        self.workload = workload
        size = sum((a + 1) * b for a, b in workload.layers)
        self.buffer = np.empty(size, np.float32)
        self.grad = np.empty(size, np.float32)
        self.layers = self.views(self.buffer)
        self.grads = self.views(self.grad)
        for name, (w, b) in zip(workload.names(), self.layers, strict=True):
            w[:] = workload.weights[f"{name}.weight"].T
            b[:] = workload.weights[f"{name}.bias"]

    def views(self, buffer: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """(weight, bias) of every layer inside a buffer."""
        found, at = [], 0
        for inputs, outputs in self.workload.layers:
            end = at + inputs * outputs
            w, b = buffer[at:end].reshape(inputs, outputs), buffer[end : end + outputs]
            found.append((w, b))
            at = end + outputs
        return found

    def backpropagate(self, x: np.ndarray, y: np.ndarray) -> float:
        """The loss of a batch; its gradient is left in `grad`."""
        work, kept = self.workload, [x]
        for i, (w, b) in enumerate(self.layers):
            z = kept[-1] @ w
            z += b
            kept.append(activate(self.name(i), z))
        loss, g = (class_loss if work.classes else squared_loss)(kept[-1], y)
        for i in reversed(range(len(self.layers))):
            g = slope(self.name(i), g, kept[i + 1])
            dw, db = self.grads[i]
            np.matmul(kept[i].T, g, out=dw)
            np.sum(g, axis=0, out=db)
            if i:
                g = g @ self.layers[i][0].T
        return loss

    def name(self, i: int) -> str | None:
        """The activation after layer i."""
        work = self.workload
        return work.out if i == len(work.layers) - 1 else work.activation


def squared_loss(p: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean squared error, and its gradient."""
    d = p - y
    flat = d.reshape(-1)
    loss = float(flat @ flat) / d.size
    d *= 2.0 / d.size
    return loss, d


def class_loss(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean cross-entropy of logits with labels, and its gradient."""
    z -= z.max(1, keepdims=True)
    rows = np.arange(len(y))
    right = z[rows, y].sum()
    np.exp(z, out=z)
    sums = z.sum(1, keepdims=True)
    loss = float(np.log(sums).sum() - right) / len(y)
    z /= sums
    z[rows, y] -= 1.0
    z /= len(y)
    return loss, z


class Adam:
    """Adam over one buffer, in place."""

    def __init__(self, size: int, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.lr, self.betas, self.t = lr, betas, 0
        self.m, self.v, self.room = (np.zeros(size, np.float32) for _ in range(3))

    def update(self, p: np.ndarray, g: np.ndarray) -> None:
        """One step of p against g, which is overwritten."""
        (beta1, beta2), m, v, room = self.betas, self.m, self.v, self.room
        self.t += 1
        m *= beta1
        m += np.multiply(g, 1 - beta1, out=room)
        v *= beta2
        g *= g
        v += np.multiply(g, 1 - beta2, out=g)
        np.sqrt(v, out=room)
        room *= 1 / np.sqrt(1 - beta2**self.t)
        room += 1e-8
        np.divide(m, room, out=room)
        room *= self.lr / (1 - beta1**self.t)
        p -= room


def numpy_training(workload: Workload, threads: int) -> Steps:
    """NumPy by hand, where the workload is a dense network."""
    if "numpy" in workload.absent:
        raise Absent(workload.absent["numpy"])
    assert isinstance(workload, Dense)
    net = Net(workload)
    rule = workload.optimizer
    adam = Adam(net.buffer.size, rule.lr, **rule.options) if rule.name == "Adam" else None

    def step(x: Any, y: Any) -> float:
        loss = net.backpropagate(x, y)
        if adam is not None:
            adam.update(net.buffer, net.grad)
        else:
            net.grad *= rule.lr
            net.buffer -= net.grad
        return loss

    return Steps(step, cut(workload, workload.arrays))
