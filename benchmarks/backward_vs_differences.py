"""What a gradient costs: one backward pass against a difference quotient for every weight.

    python benchmarks/backward_vs_differences.py

A difference quotient moves one weight by h and evaluates the loss again: n weights take n + 1
evaluations.  A backward pass takes one evaluation and one sweep, however many weights there are.
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np

import chainrule
from chainrule import nn

WIDTHS = (2, 4, 8, 16, 32, 64, 128)
FEATURES, BATCH, H = 8, 16, 1e-6


class Problem:
    """A tanh net of two hidden layers, one batch, and a count of how often it was evaluated."""

    def __init__(self, width):
        chainrule.manual_seed(0)
        sizes = (FEATURES, width, width, 1)
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.Tanh())]
        self.net = nn.Sequential(*layers).double()
        self.x = chainrule.randn(BATCH, FEATURES, dtype=chainrule.float64)
        self.y = chainrule.randn(BATCH, 1, dtype=chainrule.float64)
        self.weights = sum(p.numel() for p in self.net.parameters())
        self.evaluations = 0

    def loss(self):
        """The loss of the batch."""
        self.evaluations += 1
        return nn.functional.mse_loss(self.net(self.x), self.y)

    def by_backward(self):
        """Every gradient by one evaluation and one sweep."""
        self.net.zero_grad()
        self.loss().backward()
        return np.concatenate([p.grad.numpy().ravel() for p in self.net.parameters()])

    @chainrule.no_grad()
    def by_differences(self):
        """Every gradient by moving one weight at a time."""
        start = self.loss().item()
        slopes = []
        for p in self.net.parameters():
            flat = p.data.numpy().reshape(-1)
            for i in range(flat.size):
                kept = flat[i]
                flat[i] = kept + H
                slopes.append((self.loss().item() - start) / H)
                flat[i] = kept
        return np.array(slopes)


def seconds(function, repeats):
    """The shortest time of a call: the one that other programs disturbed least."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    """Prints one row for each width."""
    print(f"{'width':>5} {'weights':>8} {'loss ms':>8} {'backward':>9} {'differences':>12}")
    print(f"{'':>5} {'':>8} {'':>8} {'/ loss':>9} {'/ backward':>12}")
    for width in WIDTHS:
        problem = Problem(width)
        with chainrule.no_grad():
            loss = seconds(problem.loss, 300)
        backward = seconds(problem.by_backward, 300)
        differences = seconds(problem.by_differences, max(5, 2000 // problem.weights))
        print(
            f"{width:>5} {problem.weights:>8,} {loss * 1e3:>8.3f} {backward / loss:>9.1f}"
            f" {differences / backward:>12,.0f}"
        )


if __name__ == "__main__":
    main()
