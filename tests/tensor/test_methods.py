"""Every method that PyTorch's tensors have too, live against PyTorch, on shapes from 0-d to 3-d
and with empty dimensions: values, types, gradients, and the type of the error where one is due."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule.errors import ChainruleError
from later import Later

torch = Later("torch")
pytestmark = [
    pytest.mark.reference,
    pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning"),  # PyTorch's var
]

INF = float("inf")
SHAPES = [(), (1,), (3,), (0,), (2, 3), (2, 0), (1, 3, 1), (2, 3, 2)]
OVER_DIMS: list[tuple[Any, ...]] = [(), (0,), (-1, True)]
REDUCTIONS = ["sum", "mean", "max", "min", "amax", "amin", "argmax", "argmin", "prod", "any", "all"]
OPERATORS = ["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge"]
ARGUMENTS: dict[str, list[tuple[Any, ...]]] = {
    **dict.fromkeys(REDUCTIONS, OVER_DIMS), "sort": OVER_DIMS,
    **{n: [(0,), (-1,)] for n in ("softmax", "log_softmax", "cumsum")},
    **{n: [(2,), (0.5,)] for n in OPERATORS},
    "var": [*OVER_DIMS, (0, False)], "std": [(), (0,)], "logsumexp": [(0,), (-1, True)],
    "norm": [(), (1,), (3,), (INF,), (2, 0), (2, -1, True)], "argsort": [(), (0, True)],
    "topk": [(1,), (2, 0)], "reshape": [(-1,), ((-1,),)], "view": [(-1,)],
    "flatten": [(), (1,), (0, 1)], "squeeze": [(), (0,), (-1,)], "unsqueeze": [(0,), (-1,), (1,)],
    "transpose": [(0, 1), (0, -1)], "swapaxes": [(0, 1)], "movedim": [(0, -1)],
    "clamp": [(-0.5, 0.5), (0.0,), (None, 0.3), ()], "roll": [(1,), (1, 0)],
    "flip": [(0,), ((0,),)], "split": [(1,), (2, 0)], "chunk": [(2,), (2, -1)],
    "unbind": [(), (-1,)], "narrow": [(0, 0, 1)], "select": [(0, 0), (-1, 0)],
    "repeat": [(2,), (2, 1), (1, 2, 1, 2)],
    "expand": [(-1,), (2, -1, -1)], "pow": [(2,), (0.5,), (3,)], "tril": [(), (1,)],
    "triu": [(), (-1,)], "remainder": [(0.3,), (-0.3,)], "nan_to_num": [(), (1.0,)],
}  # fmt: skip
POSITIVE = {"log", "sqrt", "rsqrt", "log2", "log10", "log1p"}
PLAIN = [
    "abs", "neg", "exp", "expm1", "sin", "cos", "tan", "tanh", "sigmoid", "relu", "erf", "sign",
    "floor", "ceil", "round", "trunc", "frac", "square", "reciprocal", "exp2", "isnan", "isinf",
    "isfinite", "clone", "contiguous", "t", "tolist", "item", "numel", "dim", "double", "float",
    "long", "int", "bool", "logical_not", "is_contiguous", "stride", "unique", *sorted(POSITIVE),
]  # fmt: skip
METHODS = [n for n in (*ARGUMENTS, *PLAIN) if hasattr(chainrule.Tensor, n)]


def parts(result: Any) -> list[Any]:
    """The tensors of a result, or the result."""
    if isinstance(result, tuple) and not isinstance(result, torch.Size):
        return [p for r in result for p in parts(r)]
    return [result]


def outcome(lib: Any, name: str, value: Any, args: tuple[Any, ...]) -> Any:
    """Values and gradient of a call, or the error."""
    x = lib.from_numpy(value.copy()).requires_grad_()
    try:
        found = parts(getattr(x, name)(*args))
        tracked = [p for p in found if getattr(p, "requires_grad", False)]
        if tracked:
            sum((p * p).sum() for p in tracked).backward()
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        return error
    gradient = None if x.grad is None else x.grad.numpy()
    return [p.detach().numpy() if hasattr(p, "detach") else np.asarray(p) for p in found], gradient


@pytest.mark.parametrize("name", METHODS)
def test_method(name):
    rng = np.random.default_rng(0)
    for args in ARGUMENTS.get(name, [()]):
        for shape in SHAPES:
            value = np.asarray(rng.normal(size=shape))
            value = np.abs(value) + 0.1 if name in POSITIVE else value
            ours, theirs = (outcome(lib, name, np.asarray(value), args)
                            for lib in (chainrule, torch))  # fmt: skip
            where = f"{name}{args} of {shape}"
            if isinstance(theirs, Exception):
                assert isinstance(ours, ChainruleError), f"{where}: {ours!r}"
                assert isinstance(ours, type(theirs)), f"{where}: {ours!r}, PyTorch {theirs!r}"
                continue
            assert not isinstance(ours, Exception), f"{where}: {ours!r}"
            (values, g), (wanted, h) = ours, theirs
            assert len(values) == len(wanted), where
            for a, b in zip(values, wanted, strict=True):
                assert (a.shape, a.dtype) == (b.shape, b.dtype), where
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=where)
            assert (g is None) == (h is None), where
            if g is not None:
                np.testing.assert_allclose(g, h, rtol=1e-8, atol=1e-12, err_msg=where)
