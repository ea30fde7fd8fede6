"""Every module there is, made, with the shapes of what it takes."""

from __future__ import annotations

import inspect

from chainrule import nn

PAIR = ((2, 3), (2, 3))
IMAGE = (2, 4, 6, 6)
SERIES = (2, 4, 6)
MADE = {
    **{n: (lambda c: c(), [(2, 3)]) for n in (
        "ELU", "GELU", "SELU", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish", "ReLU", "ReLU6",
        "Sigmoid", "SiLU", "Softplus", "Softsign", "Tanh", "Identity", "Dropout", "Flatten")},
    **{n: (lambda c: c(-1), [(2, 3)]) for n in ("Softmax", "LogSoftmax")},
    **{n: (lambda c: c(), PAIR) for n in (
        "BCEWithLogitsLoss", "HuberLoss", "L1Loss", "MSELoss", "QuadraticCost", "SmoothL1Loss",
        "BCELoss", "CrossEntropyLoss")},
    "NLLLoss": (lambda c: c(), [(2, 3), "class"]),
    "MultiheadAttention": (lambda c: c(4, 2), [(5, 2, 4)] * 3),
    "ModuleDict": (lambda c: c({"a": nn.Linear(3, 2)}), None),
    "ModuleList": (lambda c: c([nn.Linear(3, 2)]), None),
    "Sequential": (lambda c: c(nn.Linear(3, 2), c(nn.ReLU(), nn.Linear(2, 2))), [(2, 3)]),
    "Conv1d": (lambda c: c(4, 2, 3), [SERIES]), "Conv2d": (lambda c: c(4, 2, 3), [IMAGE]),
    "Embedding": (lambda c: c(5, 3), ["class"]), "Linear": (lambda c: c(3, 4), [(2, 3)]),
    "Unflatten": (lambda c: c(1, (2, 2)), [(2, 4)]),
    "BatchNorm1d": (lambda c: c(4), [SERIES]), "BatchNorm2d": (lambda c: c(4), [IMAGE]),
    "GroupNorm": (lambda c: c(2, 4), [SERIES]), "LayerNorm": (lambda c: c(6), [SERIES]),
    "RMSNorm": (lambda c: c(6), [SERIES]), "AdaptiveAvgPool2d": (lambda c: c(2), [IMAGE]),
    **{n: (lambda c: c(2), [SERIES]) for n in ("AvgPool1d", "MaxPool1d")},
    **{n: (lambda c: c(2), [IMAGE]) for n in ("AvgPool2d", "MaxPool2d")},
    **{n: (lambda c: c(3, 4), [(5, 2, 3)]) for n in ("RNN", "LSTM", "GRU")},
    **{n: (lambda c: c(3, 4), [(2, 3)]) for n in ("RNNCell", "LSTMCell", "GRUCell", "NTPLinear")},
    **{n: (lambda c: c(3), [(2, 3)]) for n in (
        "Scaling", "ParametricActivation", "PeriodicEmbedding", "TargetScale", "TabularMLP")},
    "ScheduledDropout": (lambda c: c(), [(2, 3)]),
    "CategoryEncoding": (lambda c: c([2]), ["column"]),
}  # fmt: skip
MODULES = {n: c for n, c in vars(nn).items()
           if inspect.isclass(c) and issubclass(c, nn.Module) and c is not nn.Module}  # fmt: skip
