"""What is compared with PyTorch for convolutions, pooling, normalization and the like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from frozen import Case

rng = np.random.default_rng(23)
CASES: list[Case] = []


def N(*shape: int) -> Any:
    """Normal numbers."""
    return np.asarray(rng.normal(size=shape))


def function(name: str, *inputs: Any, tag: str = "", second: bool = True, **kwargs: Any) -> None:
    """A case that calls `nn.functional.name(*inputs, **kwargs)`; None stays None."""
    given = tuple(x for x in inputs if x is not None)

    def run(lib: Any, *tensors: Any) -> Any:
        rest = iter(tensors)
        arguments = [None if x is None else next(rest) for x in inputs]
        return getattr(lib.nn.functional, name)(*arguments, **kwargs)

    shapes = " ".join(str(np.shape(x)) for x in inputs)
    shown = ", ".join(f"{k}={v}" for k, v in kwargs.items())
    CASES.append(Case(f"{name}: {shapes} {shown}{tag}", run, given, second))


def case(name: str, run: Callable[..., Any], *inputs: Any, second: bool = True) -> None:
    """A case that calls anything."""
    CASES.append(Case(name, run, inputs, second))


# ---------------------------------------------------------------- convolutions

CONV1D: list[tuple[Any, Any, dict[str, Any]]] = [
    ((2, 3, 7), (4, 3, 3), {}),
    ((3, 7), (2, 3, 2), {"stride": 2}),
    ((2, 4, 8), (6, 2, 3), {"padding": (2,), "dilation": 2, "groups": 2}),
    ((1, 2, 5), (2, 1, 1), {"groups": 2}),
    ((2, 2, 6), (2, 2, 5), {"padding": "same"}),
    ((2, 2, 6), (2, 2, 5), {"padding": "valid"}),
]
CONV2D: list[tuple[Any, Any, dict[str, Any]]] = [
    ((2, 3, 5, 4), (4, 3, 3, 2), {}),
    ((3, 4, 5), (2, 3, 2, 3), {"padding": 1}),
    ((2, 2, 6, 5), (3, 2, 2, 3), {"stride": (2, 1), "padding": (0, 2)}),
    ((1, 2, 7, 6), (3, 2, 3, 2), {"dilation": (2, 3), "stride": 2, "padding": 1}),
    ((2, 4, 4, 4), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ((2, 3, 4, 3), (6, 1, 2, 2), {"groups": 3}),
    ((2, 3, 3, 3), (2, 3, 1, 1), {"stride": 2}),
    ((2, 2, 4, 5), (2, 2, 3, 5), {"padding": "same", "dilation": (2, 1)}),
    ((0, 2, 3, 3), (2, 2, 2, 2), {}),
]
for name, table in (("conv1d", CONV1D), ("conv2d", CONV2D)):
    for shape, wshape, settings in table:
        function(name, N(*shape), N(*wshape), N(wshape[0]), **settings)
    shape, wshape, settings = table[0]
    function(name, N(*shape), N(*wshape), tag="no bias", **settings)

# even kernels: PyTorch warns that it pads twice, so its result is spelled with pad
case("conv2d: same, even kernel",
     lambda lib, x, w: lib.nn.functional.conv2d(x, w, padding="same")
     if lib.__name__ == "chainrule"
     else lib.nn.functional.conv2d(lib.nn.functional.pad(x, (1, 2, 0, 1)), w),
     N(2, 2, 4, 5), N(3, 2, 2, 4))  # fmt: skip

# ---------------------------------------------------------------- borders

for mode, widths in (
    ("reflect", (2, 1)), ("reflect", (0, 3, 1, 2)), ("replicate", (2, 3)),
    ("replicate", (1, 0, 4, 2)), ("circular", (3, 1)), ("circular", (0, 4, 3, 1)),
):  # fmt: skip
    function("pad", N(2, 3, 4) if len(widths) == 2 else N(2, 2, 3, 4), pad=widths, mode=mode)

# ---------------------------------------------------------------- pooling

SETTINGS1: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
]
SETTINGS2: list[dict[str, Any]] = [
    *SETTINGS1,
    {"kernel_size": (2, 3)},
    {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0)},
    {"kernel_size": (2, 3), "stride": (2, 2), "padding": (1, 1), "ceil_mode": True},
]
TIED = rng.integers(0, 3, (2, 2, 5, 6)).astype(float)  # the first of equal ones gets the gradient
for n, settings_list in ((1, SETTINGS1), (2, SETTINGS2)):
    shapes = ((2, 2, 7), (3, 6)) if n == 1 else ((2, 2, 5, 7), (2, 6, 6))
    for settings in settings_list:
        for shape in shapes:
            function(f"max_pool{n}d", N(*shape), **settings)
            function(f"avg_pool{n}d", N(*shape), **settings)
        if settings.get("padding"):
            function(f"avg_pool{n}d", N(*shapes[0]), count_include_pad=False, **settings)
    function(f"max_pool{n}d", N(*shapes[0]), kernel_size=2, stride=1, dilation=2)
    function(f"max_pool{n}d", N(*shapes[0]), kernel_size=3, padding=1, stride=2,
             return_indices=True)  # fmt: skip
for settings in SETTINGS2:
    function("max_pool2d", TIED, tag=" ties", return_indices=True, **settings)
function("max_pool2d", np.array([[[1.0, np.nan], [3.0, 2.0]]]), kernel_size=2, tag=" nan",
         second=False)  # fmt: skip
function("max_pool2d", rng.integers(-9, 0, (1, 3, 3)), kernel_size=2, padding=1)
function("avg_pool2d", N(2, 3, 4), kernel_size=2, divisor_override=3)
for size in (1, 2, (3, 2), (None, 1), (4, 5), (7, 3)):
    function("adaptive_avg_pool2d", N(2, 2, 4, 6), output_size=size)
function("adaptive_avg_pool2d", N(3, 5, 5), output_size=(2, 3))

# ---------------------------------------------------------------- normalization

for shape, last in (
    ((2, 5), 5),
    ((2, 3, 4), (3, 4)),
    ((4,), [4]),
    ((2, 2, 1, 3), (3,)),
    ((0, 3), 3),
):
    sizes = (last,) if isinstance(last, int) else tuple(last)
    function("layer_norm", N(*shape), normalized_shape=sizes)
    function("rms_norm", N(*shape), normalized_shape=sizes)
    weighted = (N(*shape), N(*sizes), N(*sizes))
    case(f"layer_norm: {shape} weighted", lambda lib, x, w, b, s=sizes:
         lib.nn.functional.layer_norm(x, s, w, b, 0.1), *weighted)  # fmt: skip
    case(f"rms_norm: {shape} weighted", lambda lib, x, w, s=sizes:
         lib.nn.functional.rms_norm(x, s, w, 0.1), *weighted[:2])  # fmt: skip
for shape, groups in (((2, 8), 2), ((2, 6, 3), 3), ((1, 4, 2, 3), 1), ((3, 2, 2, 2), 2)):
    function("group_norm", N(*shape), num_groups=groups)
    weighted = (N(*shape), N(shape[1]), N(shape[1]))
    case(f"group_norm: {shape} {groups} weighted", lambda lib, x, w, b, g=groups:
         lib.nn.functional.group_norm(x, g, w, b, 0.1), *weighted)  # fmt: skip


def batch_norm(training: bool, **settings: Any) -> Callable[..., Any]:
    """The result, and in training both running statistics, which start as copies of the inputs."""

    def run(lib: Any, x: Any, mean: Any, var: Any, *affine: Any) -> Any:
        if hasattr(mean, "detach"):
            mean, var = mean.detach().clone(), var.detach().clone()
        y = lib.nn.functional.batch_norm(x, mean, var, *affine, training=training, **settings)
        return [y, mean, var] if training else [y]

    return run


for shape in ((4, 3), (2, 3, 4), (2, 2, 2, 3)):
    c = shape[1]
    statistics = (N(c), N(c) ** 2 + 0.1)
    function("batch_norm", N(*shape), None, None, training=True)
    function("batch_norm", N(*shape), None, None, N(c), N(c), training=True, eps=0.1)
    for tag, affine in (("", ()), (" weighted", (N(c), N(c)))):
        case(f"batch_norm: given {shape}{tag}", batch_norm(False), N(*shape), *statistics, *affine)
        case(f"batch_norm: running {shape}{tag}", batch_norm(True, momentum=0.3, eps=0.01),
             N(*shape), *statistics, *affine)  # fmt: skip

# ---------------------------------------------------------------- embedding

for padding in (0, 2, -1):
    case(f"embedding: padding {padding}", lambda lib, w, i, p=padding:
         lib.nn.functional.embedding(i, w, padding_idx=p),
         N(4, 3), rng.integers(0, 4, (3, 2)))  # fmt: skip
case("embedding: one number", lambda lib, w, i: lib.nn.functional.embedding(i, w),
     N(4, 3), np.array(2))  # fmt: skip
case("embedding: rows", lambda lib, w, i: lib.nn.functional.embedding(i, w),
     N(4, 3), rng.integers(0, 4, (2, 1, 3)))  # fmt: skip

# ---------------------------------------------------------------- attention

ATTENTION = "scaled_dot_product_attention"
for shapes in (
    ((3, 4), (5, 4), (5, 2)), ((2, 3, 4), (2, 5, 4), (2, 5, 4)),
    ((2, 2, 3, 4), (2, 2, 3, 4), (2, 2, 3, 4)),
):  # fmt: skip
    q, k, v = (N(*s) for s in shapes)
    allowed = rng.random((*q.shape[:-1], k.shape[-2])) < 0.6
    allowed[..., 0, :] = False  # a query that may look nowhere
    twice = q.ndim < 4  # PyTorch's fused kernel for four dimensions has no second derivative
    for settings in ({}, {"is_causal": True}, {"scale": 0.3}):
        function(ATTENTION, q, k, v, second=twice, **settings)
    function(ATTENTION, q, k, v, N(*allowed.shape), tag="added", second=twice)
    function(ATTENTION, q, k, v, N(*allowed.shape[-2:]), tag="added to all", second=twice)
    function(ATTENTION, q, k, v, allowed, tag="mask", second=twice)
    case(f"{ATTENTION}: hidden {shapes}", lambda lib, q, k, v, m:
         lib.nn.functional.scaled_dot_product_attention(q, k, v, lib.where(m, 0.0, -float("inf"))),
         q, k, v, allowed, second=twice)  # fmt: skip
function(ATTENTION, N(2, 4, 3, 4), N(2, 2, 5, 4), N(2, 2, 5, 3), enable_gqa=True)
function(ATTENTION, N(2, 1, 3, 4), N(2, 5, 4), N(5, 3), tag="broadcast")
function(ATTENTION, N(2, 3, 4), N(2, 3, 4), N(2, 3, 4), dropout_p=1.0)

NAMES = [c.name for c in CASES]
assert len(set(NAMES)) == len(NAMES), sorted(n for n in NAMES if NAMES.count(n) > 1)
