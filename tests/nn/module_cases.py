"""Models whose printed form and state_dict are compared with PyTorch's, and gradient clipping."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from frozen import Case

rng = np.random.default_rng(21)


def _custom(lib: Any) -> Any:
    class Block(lib.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.late = None
            self.register_buffer("scale", lib.ones(2))
            self.fc = lib.nn.Linear(2, 2)
            self.free = lib.nn.Parameter(lib.zeros(3))
            self.register_parameter("reserved", None)
            self.late = lib.nn.Parameter(lib.zeros(1))
            self.reserved = lib.nn.Parameter(lib.zeros(4))
            self.register_buffer("hidden", lib.ones(1), persistent=False)
            self.act = lib.nn.ReLU()
            self.act = lib.nn.Tanh()

        def extra_repr(self) -> str:
            return "size=2"

    return lib.nn.Sequential(Block(), lib.nn.Flatten())


def _shared(lib: Any) -> Any:
    body = lib.nn.Linear(2, 2)
    head = lib.nn.Linear(2, 2)
    head.weight = body.weight
    return lib.nn.ModuleDict({"a": body, "b": body, "head": head})


def _twice(lib: Any) -> Any:
    return lib.nn.ModuleList(
        [lib.nn.Linear(2, 2), lib.nn.Linear(2, 2), lib.nn.ReLU(), lib.nn.Linear(2, 2)]
    )


PRINTS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda lib: lib.nn.Linear(2, 3),
    "linear without bias": lambda lib: lib.nn.Linear(2, 3, bias=False),
    "named": lambda lib: lib.nn.Sequential(
        OrderedDict(first=lib.nn.Linear(2, 3), act=lib.nn.LeakyReLU(0.2), last=lib.nn.Linear(3, 1))
    ),
    "nested": lambda lib: lib.nn.Sequential(
        lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.GELU()), lib.nn.Softmax(dim=1)
    ),
    "slice": lambda lib: lib.nn.Sequential(
        lib.nn.Linear(2, 2), lib.nn.Tanh(), lib.nn.Linear(2, 1)
    )[1:],
    "list slice": lambda lib: _twice(lib)[1:3],
    "inserted": lambda lib: lib.nn.Sequential(lib.nn.Tanh(), lib.nn.ELU()).insert(
        1, lib.nn.Linear(1, 1)
    ),
    "list": _twice,
    "empty list": lambda lib: lib.nn.ModuleList(),
    "dict": lambda lib: lib.nn.ModuleDict([("x", lib.nn.Tanh()), ("y", lib.nn.Linear(1, 1))]),
    "custom": _custom,
    "shared": _shared,
    "inplace": lambda lib: lib.nn.Sequential(
        lib.nn.ReLU(inplace=True), lib.nn.Dropout(0.2), lib.nn.Dropout(0.2, inplace=True),
        lib.nn.ELU(inplace=True), lib.nn.LeakyReLU(inplace=True), lib.nn.ReLU6(True),
        lib.nn.Hardtanh(inplace=True), lib.nn.SiLU(inplace=True),
    ),
    "convolutions": lambda lib: lib.nn.Sequential(
        lib.nn.Conv1d(2, 4, 3), lib.nn.Conv2d(2, 4, (3, 1), stride=2, padding=(1, 0)),
        lib.nn.Conv2d(2, 4, 3, padding="same", dilation=2, groups=2, bias=False),
        lib.nn.Conv1d(2, 4, 3, padding=1, padding_mode="circular"),
    ),
    "pooling": lambda lib: lib.nn.Sequential(
        lib.nn.MaxPool1d(2), lib.nn.MaxPool2d((2, 3), stride=1, padding=1, ceil_mode=True),
        lib.nn.AvgPool1d(2), lib.nn.AvgPool2d((2, 3), 1, 1), lib.nn.AdaptiveAvgPool2d((None, 2)),
    ),
    "normalization": lambda lib: lib.nn.Sequential(
        lib.nn.LayerNorm(4), lib.nn.LayerNorm((2, 4), eps=1e-6, bias=False), lib.nn.RMSNorm(4),
        lib.nn.GroupNorm(2, 4), lib.nn.GroupNorm(2, 4, affine=False), lib.nn.BatchNorm1d(3),
        lib.nn.BatchNorm2d(3, momentum=None), lib.nn.BatchNorm1d(3, bias=False),
        lib.nn.BatchNorm2d(3, affine=False, track_running_stats=False),
        lib.nn.LayerNorm(4, elementwise_affine=False), lib.nn.RMSNorm((2, 4), 0.1, False),
    ),
    "embedding": lambda lib: lib.nn.Sequential(
        lib.nn.Embedding(4, 3), lib.nn.Embedding(4, 3, padding_idx=-1)
    ),
    "recurrent": lambda lib: lib.nn.Sequential(
        lib.nn.RNN(2, 3), lib.nn.RNN(2, 3, 2, "relu", False, True, 0.1, True), lib.nn.GRU(2, 3, 2),
        lib.nn.LSTM(2, 3, num_layers=2, dropout=0.5, bidirectional=True, proj_size=2),
        lib.nn.RNNCell(2, 3), lib.nn.RNNCell(2, 3, nonlinearity="relu"), lib.nn.LSTMCell(2, 3),
        lib.nn.GRUCell(2, 3, bias=False),
    ),
    "weighted loss": lambda lib: lib.nn.CrossEntropyLoss(weight=lib.ones(3)),
    "positive loss": lambda lib: lib.nn.BCEWithLogitsLoss(pos_weight=lib.ones(3)),
}  # fmt: skip

STATES: dict[str, Callable[[Any], Any]] = {
    **PRINTS,
    "attention": lambda lib: lib.nn.ModuleList(
        [lib.nn.MultiheadAttention(4, 2), lib.nn.MultiheadAttention(4, 2, bias=False)]
    ),
}


def _clipped(function: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    def run(lib: Any, *grads: Any) -> Any:
        parameters = []
        for g in grads:
            p = lib.zeros(tuple(g.shape), dtype=g.dtype, requires_grad=True)
            p.grad = g.detach().clone()
            parameters.append(p)
        without = lib.zeros(1, requires_grad=True)
        total = getattr(lib.nn.utils, function)([*parameters, without], *args, **kwargs)
        return [p.grad for p in parameters] + ([] if total is None else [total])

    return run


_GRADS = (rng.normal(size=(2, 3)), rng.normal(size=4), np.array(2.5))
CLIPS = [
    Case(f"{f}{args}", _clipped(f, *args), _GRADS, second=False)
    for f, args in (
        ("clip_grad_norm_", (1.0,)), ("clip_grad_norm_", (100.0,)), ("clip_grad_norm_", (0.0,)),
        ("clip_grad_norm_", (1.0, 1.0)), ("clip_grad_norm_", (1.0, 3.0)),
        ("clip_grad_norm_", (0.5, float("inf"))), ("clip_grad_value_", (0.3,)),
    )
]  # fmt: skip
CLIPS.append(
    Case("clip_grad_norm_ zero", _clipped("clip_grad_norm_", 1.0), (np.zeros(3),), second=False)
)
