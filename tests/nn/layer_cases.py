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

# ---------------------------------------------------------------- recurrent layers

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


def recurrent_weights(name: str, hidden: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Weights of every layer and direction, under PyTorch's names."""
    rows, proj = GATES[name] * hidden, settings.get("proj_size", 0)
    directions = ("", "_reverse") if settings.get("bidirectional") else ("",)
    weights = {}
    for i in range(settings.get("num_layers", 1)):
        width = (proj or hidden) * len(directions) if i else 2
        for way in directions:
            weights[f"weight_ih_l{i}{way}"] = N(rows, width)
            weights[f"weight_hh_l{i}{way}"] = N(rows, proj or hidden)
            if settings.get("bias", True):
                weights[f"bias_ih_l{i}{way}"] = N(rows)
                weights[f"bias_hh_l{i}{way}"] = N(rows)
            if proj:
                weights[f"weight_hr_l{i}{way}"] = N(proj, hidden)
    return weights


def outputs(layer: Any, x: Any, *state: Any) -> Any:
    """y and the last states, one after the other."""
    y, last = layer(x, state if len(state) == 2 else state[0]) if state else layer(x)
    return [y, *last] if isinstance(last, tuple) else [y, last]


for name in GATES:
    for settings, shape in (
        ({}, (3, 2, 2)), ({"batch_first": True, "bias": False}, (2, 3, 2)), ({}, (3, 2)),
        ({"num_layers": 2, "bidirectional": True}, (2, 2, 2)),
        ({"num_layers": 2, "dropout": 1.0, "batch_first": True}, (2, 2, 2)),
        *([({"nonlinearity": "relu"}, (3, 2, 2))] if name == "RNN" else []),
        *([({"proj_size": 2, "bidirectional": True}, (3, 2, 2))] if name == "LSTM" else []),
    ):  # fmt: skip
        hidden = 3
        many = settings.get("num_layers", 1) * (2 if settings.get("bidirectional") else 1)
        at = 0 if settings.get("batch_first") else 1
        batch = shape[at : at + 1] if len(shape) == 3 else ()
        states = [N(many, *batch, settings.get("proj_size", hidden)), N(many, *batch, hidden)]
        whole = {"input_size": 2, "hidden_size": hidden, **settings}
        for given in ([], states[: 2 if name == "LSTM" else 1]):
            weights = recurrent_weights(name, hidden, settings)
            layer(name, whole, weights, N(*shape), *given, call=outputs, apart=True)
    cell = f"{name}Cell"
    for settings in ({}, {"bias": False}, *([{"nonlinearity": "relu"}] if name == "RNN" else [])):
        rows = 3 * GATES[name]
        weights = {"weight_ih": N(rows, 2), "weight_hh": N(rows, 3)}
        if settings.get("bias", True):
            weights |= {"bias_ih": N(rows), "bias_hh": N(rows)}
        for shape in ((2, 2), (2,)):
            state = [N(*shape[:-1], 3) for _ in range(2 if name == "LSTM" else 1)]
            whole = {"input_size": 2, "hidden_size": 3, **settings}
            layer(cell, whole, weights, N(*shape), *state, apart=True,
                  call=lambda layer, x, *s: layer(x, s if len(s) == 2 else s[0]))  # fmt: skip
            layer(cell, whole, weights, N(*shape), apart=True)
