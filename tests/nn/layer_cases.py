"""What is compared with PyTorch for layers that hold weights, and for pooling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from frozen import DTYPES, Case

rng = np.random.default_rng(24)
CASES: list[Case] = []


def N(*shape: int) -> Any:
    """Normal numbers."""
    return np.asarray(rng.normal(size=shape))


def put(layer: Any, values: dict[str, Any]) -> Any:
    """The layer with tensors in place of its parameters, so that gradients reach them."""
    for path, value in values.items():
        *above, name = path.split(".")
        owner = layer
        for part in above:
            owner = getattr(owner, part)
        delattr(owner, name)
        setattr(owner, name, value)
    return layer


def layer(
    name: str, settings: dict[str, Any], weights: dict[str, Any], *inputs: Any,
    call: Callable[..., Any] = lambda layer, *xs: layer(*xs), tag: str = "", second: bool = True,
    apart: bool = False, dtypes: tuple[str, ...] = DTYPES,
) -> None:  # fmt: skip
    """A layer with these settings and weights (arrays by path), called on the inputs.

    `apart`: second derivatives in float64 only, because some are 0 but for rounding.
    """

    def run(lib: Any, *tensors: Any) -> Any:
        made = getattr(lib.nn, name)(**settings)
        if any(t.dtype == lib.float64 for t in tensors):
            made = made.double()
        return call(put(made, dict(zip(weights, tensors, strict=False))), *tensors[len(weights) :])

    shown = ", ".join(f"{k}={v}" for k, v in settings.items())
    shapes = " ".join(str(np.shape(x)) for x in inputs)
    label = f"nn.{name}({shown}) {shapes}{tag}"
    made = Case(label, run, (*weights.values(), *inputs), second, dtypes)
    if apart:
        CASES.append(made._replace(name=f"{label} once", second=False, dtypes=dtypes[1:]))
        made = made._replace(dtypes=dtypes[:1])
    CASES.append(made)


# ---------------------------------------------------------------- convolutions and pooling

CONVOLUTIONS: list[tuple[dict[str, Any], Any]] = [
    ({}, (2, 4, 6)),
    ({"stride": 2, "padding": 1, "dilation": 2}, (4, 7)),
    ({"groups": 2, "bias": False}, (2, 4, 5)),
    ({"padding": "same", "padding_mode": "replicate"}, (2, 4, 5)),
    ({"padding": 2, "padding_mode": "reflect", "stride": 2}, (2, 4, 5)),
    ({"padding": 2, "padding_mode": "circular"}, (2, 4, 5)),
]
for n in (1, 2):
    for settings, shape in CONVOLUTIONS:
        if n == 2:
            shape = (*shape, 6)
        whole = {"in_channels": 4, "out_channels": 2, "kernel_size": 3, **settings}
        weights = {"weight": N(2, 4 // settings.get("groups", 1), *(3,) * n)}
        if settings.get("bias", True):
            weights["bias"] = N(2)
        layer(f"Conv{n}d", whole, weights, N(*shape))
for name, settings in (
    ("MaxPool1d", {"kernel_size": 2}), ("AvgPool1d", {"kernel_size": 3, "stride": 2}),
    ("MaxPool1d", {"kernel_size": 3, "padding": 1, "return_indices": True}),
    ("AvgPool1d", {"kernel_size": 2, "padding": 1, "count_include_pad": False}),
):  # fmt: skip
    layer(name, settings, {}, N(2, 3, 7))
for name, settings in (
    ("MaxPool2d", {"kernel_size": 2}), ("AvgPool2d", {"kernel_size": (2, 3), "stride": 2}),
    ("MaxPool2d", {"kernel_size": 2, "stride": 1, "dilation": 2, "ceil_mode": True}),
    ("AvgPool2d", {"kernel_size": 2, "ceil_mode": True, "divisor_override": 3}),
    ("AdaptiveAvgPool2d", {"output_size": (2, None)}), ("AdaptiveAvgPool2d", {"output_size": 1}),
):  # fmt: skip
    layer(name, settings, {}, N(2, 3, 5, 7))

# ---------------------------------------------------------------- normalization and embedding


def batches(layer: Any, x: Any, y: Any) -> Any:
    """Two batches in training, one in evaluation, and the buffers."""
    outputs = [layer(x), layer(y), layer.eval()(x)]
    return outputs + [b.clone() for b in layer.buffers()]


layer("LayerNorm", {"normalized_shape": 4}, {"weight": N(4), "bias": N(4)}, N(2, 3, 4))
layer("LayerNorm", {"normalized_shape": (3, 4), "eps": 0.1, "bias": False}, {"weight": N(3, 4)},
      N(2, 3, 4))  # fmt: skip
layer("LayerNorm", {"normalized_shape": [4], "elementwise_affine": False}, {}, N(4))
layer("RMSNorm", {"normalized_shape": 4}, {"weight": N(4)}, N(2, 3, 4))
layer("RMSNorm", {"normalized_shape": (3, 4), "eps": 0.1, "elementwise_affine": False}, {},
      N(2, 3, 4))  # fmt: skip
layer("GroupNorm", {"num_groups": 2, "num_channels": 4}, {"weight": N(4), "bias": N(4)}, N(2, 4, 3))
layer("GroupNorm", {"num_groups": 4, "num_channels": 4, "affine": False}, {}, N(2, 4, 3, 2))
layer("GroupNorm", {"num_groups": 1, "num_channels": 4, "bias": False}, {"weight": N(4)}, N(2, 4))
for name, shape in (
    ("BatchNorm1d", (4, 3)),
    ("BatchNorm1d", (3, 3, 2)),
    ("BatchNorm2d", (2, 3, 2, 2)),
):
    for settings in (
        {}, {"eps": 0.1, "momentum": 0.4}, {"momentum": None}, {"affine": False}, {"bias": False},
        {"track_running_stats": False},
    ):  # fmt: skip
        weights = {"weight": N(3), "bias": N(3)} if settings.get("affine", True) else {}
        if not settings.get("bias", True):
            del weights["bias"]
        layer(name, {"num_features": 3, **settings}, weights, N(*shape), N(*shape), call=batches)
for padding in (None, 1, -1):
    layer("Embedding", {"num_embeddings": 4, "embedding_dim": 3, "padding_idx": padding},
          {"weight": N(4, 3)}, rng.integers(0, 4, (2, 5)))  # fmt: skip

# ---------------------------------------------------------------- attention


def attention(layer: Any, *xs: Any, **settings: Any) -> Any:
    """The result, and the weights where they are asked for."""
    return [y for y in layer(*xs, **settings) if y is not None]


def heads(settings: dict[str, Any], *xs: Any, tag: str, **call: Any) -> None:
    """A layer of size 4 with 2 heads, called on (query, key, value)."""
    e = 4
    weights = {"in_proj_weight": N(3 * e, e), "out_proj.weight": N(e, e)}
    if settings.get("bias", True):
        weights |= {"in_proj_bias": N(3 * e), "out_proj.bias": N(e)}

    def run(layer: Any, *tensors: Any) -> Any:
        rest = iter(tensors)
        names = ("attn_mask", "key_padding_mask")
        given = {k: next(rest) if k in names else v for k, v in call.items()}
        q, *others = rest
        k, v = {0: (q, q), 1: others * 2, 2: others}[len(others)]
        return attention(layer, q, k, v, **given)

    # PyTorch's fused attention is 1e-5 off in float32 where it is told of a causal mask
    dtypes = DTYPES[:1] if "is_causal" in call else DTYPES
    masks = [v for k, v in call.items() if k in ("attn_mask", "key_padding_mask")]
    layer("MultiheadAttention", {"embed_dim": e, "num_heads": 2, **settings}, weights, *masks, *xs,
          call=run, tag=f" {tag}", second=call.get("need_weights", True), apart=True,
          dtypes=dtypes)  # fmt: skip


CAUSAL = np.triu(np.ones((3, 3), bool), 1)
PADDING = np.array([[False, False, True], [False, True, True]])
heads({}, N(3, 2, 4), tag="self")
heads({"bias": False, "batch_first": True}, N(2, 3, 4), tag="self")
heads({}, N(3, 4), tag="self, no batch")
heads({}, N(3, 2, 4), N(5, 2, 4), tag="cross", average_attn_weights=False)
heads({"batch_first": True}, N(2, 3, 4), N(2, 5, 4), N(2, 5, 4), tag="three", need_weights=False)
heads({}, N(3, 2, 4), tag="causal", attn_mask=CAUSAL)
heads({}, N(3, 2, 4), tag="causal hint", attn_mask=CAUSAL, is_causal=True, need_weights=False)
heads({"batch_first": True}, N(2, 3, 4), tag="padding", key_padding_mask=PADDING)
heads({}, N(3, 2, 4), tag="both", attn_mask=CAUSAL, key_padding_mask=PADDING)
heads({}, N(3, 2, 4), tag="added", attn_mask=N(4, 3, 3))
heads({}, N(3, 4), tag="no batch, padding", key_padding_mask=PADDING[0])
heads({"dropout": 1.0}, N(3, 2, 4), tag="dropout", need_weights=False)
