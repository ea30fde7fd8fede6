"""Windows as matrix products read them best: of an image with its border, and in both directions.

A border that is part of the image makes windows a matter of places alone, so that products read
them where they lie.  What folds a product is written as a product of windows: nothing of the size
of all windows is stored.  With g the gradient of y, that is the gradient of the input of y:

Before: %0 = windows(x, padding=1)     %1 = matmul(w, g, ta=True)    %2 = fold(%1, padding=1)
After:  %0 = pad(x)  %1 = windows(%0)  %2 = pad(g)  %3 = windows(%2)  %4 = matmul(flip(w), %3)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ... import ops
from ...graph import Graph, Node
from ...graph.trace import Recorder
from ...ops.core import Shape, interpret
from .rewrite import kept, rewrite


def border(graph: Graph) -> Graph:
    """Pads what windows see beyond the edges of, and turns folds of products around."""
    rules: dict[Any, Callable[..., Any]] = {ops.windows: _padded, ops.fold: _turned}

    def rule(node: Node, operands: tuple[Any, ...], lines: list[Node]) -> Any:
        if node.op not in rules:
            return kept(node, operands, lines)
        recorder = Recorder()
        with interpret(recorder):
            result = rules[node.op](*operands, **node.params)
        if result is None:
            return kept(node, operands, lines)
        for made in recorder.nodes:
            made.site = node.site
        lines.extend(recorder.nodes)
        return result

    return rewrite(graph, rule) if any(node.op in rules for node in graph.nodes) else graph


def _padded(x: Node, grid: ops.Grid) -> Any:
    """Windows of an image with its border; None where it has none."""
    return _seen(x, grid) if any(grid.padding) else None


def _seen(x: Node, grid: ops.Grid) -> Any:
    """Windows, of an image with its border."""
    n = len(grid.padding)
    if any(grid.padding):
        widths = (*((0, 0) for _ in x.shape[:-n]), *((p, p) for p in grid.padding))
        x = ops.pad(x, widths=widths, value=0.0)
    return ops.windows(x, grid=grid._replace(padding=(0,) * n))


def _turned(x: Node, grid: ops.Grid, sizes: Shape) -> Any:
    """fold(w^T g) as a product with windows of g: the weights of a window stand in reverse order.

    None for anything else, and for steps larger than 1, where most of those windows see nothing.
    """
    n = len(sizes)
    padding = tuple(d * (k - 1) - p for k, p, d in zip(grid.kernel, grid.padding, grid.dilation,
                                                       strict=True))  # fmt: skip
    product = _product_below(x, n)
    if product is None or grid.stride != (1,) * n or min(padding) < 0:
        return None
    w, g = product.inputs  # (out, taps channels), (out, batch counts)
    out, (channels, batch, *counts) = w.shape[0], x.shape[: n + 2]
    taps = range(1, n + 1)
    w = ops.flip(ops.reshape(w, shape=(out, *grid.kernel, channels)), axis=tuple(taps))
    image = ops.reshape(g, shape=(out, batch, *counts))
    seen = _seen(image, grid._replace(padding=padding))
    places, last = range(n + 2), range(n + 2, 2 * n + 2)
    size = out * math.prod(grid.kernel)
    y = ops.matmul(
        ops.reshape(ops.permute(w, axes=(n + 1, *taps, 0)), shape=(channels, size)),
        ops.reshape(
            ops.permute(seen, axes=(*last, *places)), shape=(size, batch * math.prod(sizes))
        ),
    )
    return ops.reshape(y, shape=(channels, batch, *sizes))


def _product_below(x: Node, n: int) -> Node | None:
    """The product of which x is the result, the taps behind what stood behind them."""
    if x.op is not ops.permute or x.params["axes"] != (*range(n, 2 * n + 2), *range(n)):
        return None
    (x,) = x.inputs
    if x.op is not ops.reshape or x.inputs[0].op is not ops.matmul:
        return None
    taps_and_channels, batch_and_counts = math.prod(x.shape[: n + 1]), math.prod(x.shape[n + 1 :])
    (product,) = x.inputs
    fits = product.shape == (taps_and_channels, batch_and_counts)
    plain = product.params.get("ta") and not product.params.get("tb")
    return product if fits and plain else None
