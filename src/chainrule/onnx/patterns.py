"""Lines that together are one operator of ONNX: layers that are spelled in several ops.

A dense layer's product and bias are Gemm, a convolution's windows and product are Conv, windows and
their greatest or mean are MaxPool and AveragePool.  Whatever does not fit exactly is written op by
op.  The lines that an operator stands for are left out if nothing else reads them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import dtypes
from ..graph import Node
from ..ops.core import Shape
from .writer import Line, Writer


def merged(w: Writer, line: Line) -> str | None:
    """The operator that a line completes, as the name of its result; None: it completes none."""
    node = line.node
    if node.dtype != dtypes.float32:  # the one type for which all runtimes have these
        return None
    if line.op == "add":
        return _with_bias(w, node)
    if line.op == "permute":
        return _convolution(w, node, [])
    if line.op == "reshape":
        return _greatest(w, node)
    return _mean(w, node) if line.op == "div" else None


def _made(x: Any, name: str) -> bool:
    """Whether a value is the result of an op."""
    return isinstance(x, Node) and x.op is not None and x.op.name == name


def _with_bias(w: Writer, node: Node) -> str | None:
    """A product or a convolution, and a number added to each column or channel."""
    y, bias = node.inputs
    if not _made(bias, "expand") or not isinstance(y, Node) or y.op is None:
        return None
    (bias,) = bias.inputs
    if _made(y, "matmul") and y.ndim == 2 and bias.shape == y.shape[1:]:
        names = [w.names[x] for x in (*y.inputs, bias)]
        ta, tb = (int(y.params.get(k, False)) for k in ("ta", "tb"))
        return w.put("Gemm", *names, transA=ta, transB=tb)
    channels = (1, y.shape[1], *(1,) * (y.ndim - 2)) if y.ndim > 2 else None
    if _made(bias, "reshape") and bias.shape == channels and bias.inputs[0].ndim == 1:
        return _convolution(w, y, [w.names[bias.inputs[0]]])
    return None


# ---------------------------------------------------------------- convolutions


def _convolution(w: Writer, node: Node, bias: list[str]) -> str | None:
    """functional.conv1d and conv2d: weights as rows times windows as columns."""
    n = node.ndim - 2
    if (
        n < 1
        or not _permuted(node, (1, 0, *range(2, n + 2)))
        or not _made(node.inputs[0], "reshape")
    ):
        return None
    product = node.inputs[0].inputs[0]
    if not _made(product, "matmul") or any(product.params.values()) or product.ndim > 3:
        return None
    rows, columns = product.inputs
    groups = product.shape[0] if product.ndim == 3 else 1
    if not _made(rows, "reshape") or not _permuted(rows.inputs[0], (0, *range(2, n + 2), 1)):
        return None
    weight = rows.inputs[0].inputs[0]
    seen = _windows_below(columns, n, groups)
    if seen is None:
        return None
    image, grid = seen.inputs[0], seen.params["grid"]
    if not _permuted(image, (1, 0, *range(2, n + 2))):
        return None
    x = image.inputs[0]
    fits = weight.shape[2:] == grid.kernel and x.shape[1] == weight.shape[1] * groups
    if not fits or node.shape[1] != weight.shape[0]:
        return None
    return w.put(
        "Conv", w.names[x], w.names[weight], *bias, kernel_shape=list(grid.kernel), group=groups,
        strides=list(grid.stride), dilations=list(grid.dilation), pads=[*grid.padding] * 2,
    )  # fmt: skip


def _permuted(x: Any, axes: Shape) -> bool:
    return _made(x, "permute") and x.params["axes"] == axes


def _windows_below(columns: Any, n: int, groups: int) -> Node | None:
    """The windows that the columns of a convolution's product are."""
    if not _made(columns, "reshape"):
        return None
    turned = columns.inputs[0]
    taps, places = range(n + 2, 2 * n + 2), range(1, n + 2)
    order: Shape = (*taps, 0, *places)
    if groups > 1:
        order = (0, *(a + 1 for a in taps), 1, *(a + 1 for a in places))
    if not _permuted(turned, order):
        return None
    (x,) = turned.inputs
    if groups > 1 and _made(x, "reshape"):
        (x,) = x.inputs
    return x if _made(x, "windows") and len(x.params["grid"].kernel) == n else None


# ---------------------------------------------------------------- pooling


class Pool(NamedTuple):
    """Windows over an image: what stands for their layout in ONNX."""

    x: Node
    kernel: Shape
    stride: Shape
    dilation: Shape
    pads: list[int]

    def put(self, w: Writer, kind: str, **settings: Any) -> str:
        """The operator."""
        sizes: dict[str, Any] = {"kernel_shape": list(self.kernel), "strides": list(self.stride),
                                 "pads": self.pads}  # fmt: skip
        if any(d != 1 for d in self.dilation):
            sizes["dilations"] = list(self.dilation)
        return w.put(kind, w.names[self.x], **sizes, **settings)


def _greatest(w: Writer, node: Node) -> str | None:
    """functional.max_pool1d and max_pool2d."""
    (found,) = node.inputs
    if not _made(found, "gather") or found.params["axis"] != 0:
        return None
    rows, index = found.inputs
    if not _made(index, "reshape") or not _made(index.inputs[0], "argmax"):
        return None
    chosen = index.inputs[0]
    if chosen.inputs[0] is not rows or chosen.params["axis"] != 0 or node.shape != rows.shape[1:]:
        return None
    pool = _pool(rows, -math.inf)
    return None if pool is None else pool.put(w, "MaxPool")


def _mean(w: Writer, node: Node) -> str | None:
    """functional.avg_pool1d and avg_pool2d, where every window has as many elements."""
    total, count = node.inputs
    if not _made(total, "sum") or total.params != {"axis": (0,), "keepdim": False}:
        return None
    pool = _pool(total.inputs[0], 0.0)
    if pool is None or isinstance(count, Node) or count != math.prod(pool.kernel):
        return None
    if any(d != 1 for d in pool.dilation):
        return None
    return pool.put(w, "AveragePool", count_include_pad=1)


def _pool(rows: Any, border: float) -> Pool | None:
    """The windows that rows (taps, batch, channels, counts) hold, of an image with that border."""
    n = rows.ndim - 3
    if n not in (1, 2) or not _made(rows, "reshape") or not _made(rows.inputs[0], "permute"):
        return None
    turned = rows.inputs[0]
    (x,) = turned.inputs
    if _made(x, "windows") and turned.params["axes"] == (*range(n + 2, 2 * n + 2), *range(n + 2)):
        grid = x.params["grid"]
        kernel, stride, dilation, x = grid.kernel, grid.stride, grid.dilation, x.inputs[0]
        if any(grid.padding):
            return None
    elif _made(x, "reshape") and turned.params["axes"] == (
        *range(3, 2 * n + 2, 2), 0, 1, *range(2, 2 * n + 2, 2)
    ):  # fmt: skip
        kernel = stride = x.shape[3::2]
        dilation, x = (1,) * n, x.inputs[0]
        if _made(x, "slice") and all(at[::2] == (0, 1) for at in x.params["ranges"]):
            x = x.inputs[0]
    else:
        return None
    return _bordered(Pool(x, kernel, stride, dilation, [0] * 2 * n), border, rows.shape[-n:])


def _bordered(pool: Pool, border: float, wanted: Shape) -> Pool | None:
    """The same with a border that the operator adds itself, if that is narrower than the windows;
    None where the operator would make other counts."""
    x, n = pool.x, len(pool.kernel)
    if (
        _made(x, "pad")
        and x.params["value"] == border
        and not any(map(any, x.params["widths"][:-n]))
    ):
        widths = x.params["widths"][-n:]
        pads = [*(a for a, _ in widths), *(b for _, b in widths)]
        if all(p < k for p, k in zip(pads, pool.kernel * 2, strict=True)):
            pool = pool._replace(x=x.inputs[0], pads=pads)
    sides = zip(pool.x.shape[-n:], pool.pads[:n], pool.pads[n:], strict=True)
    room = [m + a + b for m, a, b in sides]
    steps = zip(room, pool.kernel, pool.stride, pool.dilation, strict=True)
    counts = tuple((m - d * (k - 1) - 1) // s + 1 for m, k, s, d in steps)
    return pool if pool.x.ndim == n + 2 and counts == wanted else None
