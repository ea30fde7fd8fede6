"""What is compared with PyTorch for every function of chainrule.functional.

A case is called `name` or `name: what`; a new function without a case fails a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from layer_function_cases import CASES as LAYERS

from frozen import Case

rng = np.random.default_rng(22)


def N(*shape: int) -> Any:
    """Normal numbers."""
    return np.asarray(rng.normal(size=shape))


def Z(*shape: int, high: int = 3) -> Any:
    """Whole numbers in [0, high)."""
    return rng.integers(0, high, shape)


CASES: list[Case] = []


def add(name: str, run: Callable[..., Any], *inputs: Any, second: bool = True) -> None:
    """A case that calls anything."""
    CASES.append(Case(name, run, inputs, second))


def call(name: str, inputs: tuple[Any, ...], *args: Any, tag: str = "", **kwargs: Any) -> None:
    """A case that calls `library.name`, or `library.nn.functional.name`, with more arguments."""

    def run(lib: Any, *tensors: Any) -> Any:
        f = getattr(lib, name, None) or getattr(lib.nn.functional, name)
        return f(*tensors, *args, **kwargs)

    shown = [*map(str, args), *(f"{k}={v}" for k, v in kwargs.items())]
    shapes = " ".join(str(np.shape(x)) for x in inputs)
    CASES.append(Case(f"{name}: {shapes} {', '.join(shown)}{tag}", run, inputs))


def nnf(name: str) -> Callable[..., Any]:
    """lib.nn.functional.name(...)."""
    return lambda lib, *xs, **kw: getattr(lib.nn.functional, name)(*xs, **kw)


# ---------------------------------------------------------------- activations and losses
# their options are compared in tests/nn; here the functions' own arguments and defaults

KINKS = np.array([-7.0, -1.0, -0.5, 0.0, 0.5, 1.0, 6.0, 8.0])
for name in (
    "relu", "relu6", "elu", "selu", "gelu", "silu", "mish", "hardtanh", "softsign", "logsigmoid",
    "softplus", "leaky_relu", "sigmoid", "tanh",
):  # fmt: skip
    add(name, nnf(name), KINKS, second=False)
add("softplus: settings", lambda lib, x: lib.nn.functional.softplus(x, 2, 3.5), KINKS)
add("leaky_relu: slope", lambda lib, x: lib.nn.functional.leaky_relu(x, 0.3), KINKS)
for name in ("softmax", "log_softmax"):
    for shape, dim in (((3,), 0), ((2, 3), 0), ((2, 3), -1), ((2, 3, 2), 1), ((), 0), ((2, 0), 1)):
        add(
            f"{name}: {shape} {dim}", lambda lib, x, n=name, d=dim: getattr(lib, n)(x, d), N(*shape)
        )
x, t = N(3, 2), N(3, 2)
for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"):
    add(name, nnf(name), x, t)
    add(f"{name}: sum", lambda lib, x, t, n=name: nnf(n)(lib, x, t, reduction="sum"), x, t)
    add(f"{name}: broadcast target", nnf(name), x, N(3, 2)[:1].sum(1, keepdims=True) + t * 0)
add("quadratic_cost", lambda lib, a, y: _quadratic(lib, a, y), x, t)
add("cross_entropy", nnf("cross_entropy"), N(3, 4), Z(3))
add("nll_loss", nnf("nll_loss"), N(3, 4), Z(3))
P = rng.uniform(0.1, 0.9, (3, 2))
add("binary_cross_entropy", nnf("binary_cross_entropy"), P, P[::-1].copy(), second=False)
add("binary_cross_entropy_with_logits", nnf("binary_cross_entropy_with_logits"), x, P)
for reduction in ("mean", "sum", "none", "batchmean"):
    for log_target in (False, True):
        target = np.log(P) if log_target else np.where(P < 0.3, 0.0, P)
        add(
            f"kl_div: {reduction} {log_target}",
            lambda lib, a, b, r=reduction, k=log_target: lib.nn.functional.kl_div(
                a, b.detach(), reduction=r, log_target=k
            ),
            x, target,
        )  # fmt: skip
for full in (False, True):
    add(
        f"gaussian_nll_loss: {full}",
        lambda lib, a, b, v, f=full: lib.nn.functional.gaussian_nll_loss(a, b, v, full=f),
        x, t, P + 0.1,
    )  # fmt: skip


def _quadratic(lib: Any, a: Any, y: Any) -> Any:
    if hasattr(lib.nn.functional, "quadratic_cost"):
        return lib.nn.functional.quadratic_cost(a, y)
    return ((a - y) ** 2).sum() / (2 * a.shape[0])


# ---------------------------------------------------------------- element by element

TIES = (np.array([1.0, 2.0, -1.0, 0.0, 3.0]), np.array([1.0, 1.0, 2.0, 0.0, 3.0]))
HALVES = np.array([-2.5, -1.5, -0.5, -0.2, 0.0, 0.5, 1.5, 2.5, 3.7])
for name in ("ceil", "trunc", "frac", "square", "tan", "exp2"):
    call(name, (HALVES,))
for name in ("log2", "log10", "reciprocal"):
    call(name, (np.abs(N(4)) + 0.2,))
WILD = np.array([np.nan, np.inf, -np.inf, 0.0, -1.5])
for name in ("isnan", "isinf", "isfinite"):
    call(name, (WILD,))
add("nan_to_num", lambda lib, x: lib.nan_to_num(x), np.array([np.nan, 1.0, -2.0]))
add("nan_to_num: value", lambda lib, x: lib.nan_to_num(x, 3.0), np.array([np.nan, 1.0, -2.0]))
add("nan_to_num: infinite", lambda lib, x: lib.nan_to_num(x, posinf=5.0, neginf=-6.0), WILD)
add("nan_to_num: float range", lambda lib, x: lib.nan_to_num(x).detach(), WILD)
LIMITS = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0])
for low, high in ((-1.0, 1.0), (None, 0.5), (-0.5, None), (1.0, -1.0)):
    call("clamp", (LIMITS,), low, high)
add("clamp: nan", lambda lib, x: lib.clamp(x, -1, 1).detach(), WILD)
add("clamp: tensors", lambda lib, x, a, b: lib.clamp(x, a, b),
    LIMITS[:5], np.full(5, -0.5), np.array([0.0, 1.0, 1.0, -0.2, 0.5]))  # fmt: skip
for name in ("maximum", "minimum", "fmax", "fmin", "logaddexp"):
    call(name, TIES)
call("fmax", (np.array([np.nan, 1.0]), np.array([2.0, np.nan])), tag=" nan")
call("fmin", (np.array([np.nan, 1.0]), np.array([2.0, np.nan])), tag=" nan")
call("logaddexp", (N(3, 1), N(2)), tag=" broadcast")
add("logaddexp: infinite", lambda lib, a, b: lib.logaddexp(a, b).detach(),
    np.array([-np.inf, -np.inf, np.inf, 1e4]), np.array([-np.inf, 0.0, 1.0, 1e4]))  # fmt: skip
for a, b in ((7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (-6.0, 3.0), (0.3, 0.1)):
    call("remainder", (np.array([a]), np.array([b])), tag=f" {a} {b}")
call("remainder", (np.array([7, -7, 7]), np.array([2, 2, -2])), tag=" whole")
for name in ("addcmul", "addcdiv"):
    call(name, (N(2, 3), N(3), P[:2, :1] + 0.3), value=0.5)
call("lerp", (N(3), N(3), N(3)))
call("lerp", (N(3), N(3)), 0.3)

# ---------------------------------------------------------------- products

RANKS = {
    1: [(3,)], 2: [(2, 3), (3, 2)], 3: [(2, 2, 3), (2, 3, 2), (1, 3, 2)],
    4: [(3, 1, 2, 3), (3, 2, 3, 2)],
}  # fmt: skip
SHAPES = [s for shapes in RANKS.values() for s in shapes]
for left in SHAPES:
    for right in SHAPES:
        inner = right[-2] if len(right) > 1 else right[0]
        try:
            np.broadcast_shapes(left[:-2], right[:-2])
        except ValueError:
            continue
        if left[-1] == inner:
            call("matmul", (N(*left), N(*right)))
call("matmul", (N(2, 0), N(0, 3)))
call("matmul", (N(0, 2), N(2, 3)))
call("matmul", (N(2, 0, 3), N(3, 4)))
call("mm", (N(2, 3), N(3, 4)))
call("bmm", (N(2, 2, 3), N(2, 3, 2)))
call("mv", (N(2, 3), N(3)))
call("dot", (N(3), N(3)))
call("outer", (N(2), N(3)))
call("addmm", (N(3), N(2, 2), N(2, 3)))
call("addmm", (N(2, 3), N(2, 2), N(2, 3)), beta=0.5, alpha=2)
for shape in ((3,), (4, 3), (2, 4, 3), (2, 1, 2, 3), (0, 3)):
    call("linear", (N(*shape), N(2, 3), N(2)))
    call("linear", (N(*shape), N(2, 3)))

# ---------------------------------------------------------------- reductions

A = N(2, 3, 4)
for name in ("sum", "mean", "amax", "amin", "all", "any"):
    for dim in (None, 0, -1, (0, 2)):
        for keepdim in (False, True):
            if dim is None and keepdim:
                continue
            add(f"{name}: {dim} {keepdim}",
                lambda lib, x, n=name, d=dim, k=keepdim: getattr(lib, n)(x, dim=d, keepdim=k)
                if d is not None else getattr(lib, n)(x), A)  # fmt: skip
add("any: bools", lambda lib, x: [lib.any(x > 1, 0), lib.all(x > -1, 0), lib.any(x > 9)], A)
for n, d, keepdim in (("var", None, False), ("var", 1, True), ("var", (0, 2), False)):
    for correction in (0, 1, 2):
        for name in (n, n.replace("var", "std")):
            add(f"{name}: {d} {keepdim} {correction}",
                lambda lib, x, n=name, d=d, k=keepdim, c=correction: getattr(lib, n)(
                    x, dim=d, keepdim=k, correction=c), A)  # fmt: skip
add("var: flags", lambda lib, x: [lib.var(x, False), lib.var(x, 0, False),
                                  lib.var(x, 0, True, True), x.var(unbiased=False),
                                  lib.var(x, -1, keepdim=True)], A)  # fmt: skip
add("std: flags", lambda lib, x: [lib.std(x, False), lib.std(x, 0, False), x.std(1)], A)
add("std: constant", lambda lib, x: lib.std(x, 1), np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]),
    second=False)  # fmt: skip
for p in (1, 2, 3, 0.5, 1.5, float("inf")):
    for dim in (None, 1):
        add(
            f"norm: {p} {dim}",
            lambda lib, x, p=p, d=dim: lib.norm(x, p) if d is None else lib.norm(x, p, d),
            A,
        )
for p in (1, 2, 3, float("inf")):
    add(f"norm: zero {p}", lambda lib, x, p=p: lib.norm(x, p), np.zeros(3), second=False)
TIED = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [5.0, -1.0, -1.0]])
for name in ("max", "min"):
    call(name, (TIED,))
    for dim in (0, 1, -2):
        for keepdim in (False, True):
            call(name, (TIED,), dim, keepdim)
    call(name, (TIED, TIED.T.copy()), tag=" two")
    call(name, (np.array(2.0),), 0)
for name in ("argmax", "argmin"):
    for options in ({}, {"dim": 0}, {"dim": 1, "keepdim": True}, {"keepdim": True}):
        call(name, (TIED,), **options)
    call(name, (np.array([1.0, np.nan, 3.0]),), tag=" nan")
call("median", (TIED,), tag=" ties")
for shape in ((5,), (4,), (2, 3), ()):
    call("median", (N(*shape),))
for dim, keepdim in ((0, False), (1, True)):
    call("median", (N(4, 5),), dim, keepdim)
call("median", (np.array([1.0, np.nan, 0.0]),), tag=" nan")
for shape in ((3,), (2, 3)):
    call("prod", (N(*shape),))
    call("prod", (N(*shape),), 0)
    call("prod", (N(*shape),), -1, True)
call("prod", (np.array([2.0, 0.0, 3.0]),), tag=" one zero")
call("prod", (np.array([0.0, 0.0, 3.0]),), tag=" two zeros")
for dim in (0, 1, (0, 1), -1):
    call("logsumexp", (N(2, 3) * 3,), dim)
call("logsumexp", (np.array([[1e4, 1e4], [-1e4, 0.0]]),), 1, tag=" huge")
add("logsumexp: infinite", lambda lib, x: lib.logsumexp(x, 1).detach(),
    np.array([[-np.inf, -np.inf], [np.inf, 1.0], [-np.inf, 2.0], [np.inf, -np.inf]]))  # fmt: skip
call("cumsum", (A,), 1)
call("cumsum", (Z(2, 3),), -1)
for descending in (False, True):
    for name in ("sort", "argsort"):
        for dim in (-1, 0):
            call(name, (N(3, 4),), dim=dim, descending=descending)
    call("sort", (np.array([2.0, 1.0, 2.0, 1.0]),), stable=True, descending=descending)
    call("sort", (np.array([2.0, np.nan, 1.0]),), descending=descending, tag=" nan")
for k, options in ((2, {}), (1, {"largest": False}), (2, {"dim": 0}), (0, {}), (3, {"dim": -1})):
    call("topk", (N(3, 4),), k, **options)

# ---------------------------------------------------------------- shapes

call("reshape", (A,), (4, -1))
call("flatten", (A,))
call("flatten", (A,), 1)
call("flatten", (A,), 0, 1)
call("flatten", (np.array(2.0),))
call("unflatten", (A,), 2, (2, 2))
call("unflatten", (A,), -1, (-1, 2))
B = N(1, 3, 1, 2)
for options in ((), (0,), (1,), (-2,), ((0, 2),)):
    call("squeeze", (B,), *options)
for dim in (0, -1, 2):
    call("unsqueeze", (A,), dim)
call("permute", (A,), (2, 0, 1))
call("permute", (A,), (-1, 0, 1))
call("transpose", (A,), 0, -1)
call("movedim", (A,), 0, 2)
call("movedim", (A,), -1, 0)
add("expand", lambda lib, x: x.expand(2, -1, 4), N(3, 1))
call("broadcast_to", (N(3, 1),), (2, 3, 4))
call("broadcast_tensors", (N(3, 1), N(2), N()))
add("repeat", lambda lib, x: x.repeat(2, 3), N(2, 2))
add("repeat: new dimension", lambda lib, x: x.repeat(2, 1, 2), N(2))
for dim in (0, 1, -1):
    add(f"cat: {dim}", lambda lib, *xs, d=dim: lib.cat(xs, d), N(2, 3), N(2, 3), N(2, 3))
    add(f"stack: {dim}", lambda lib, *xs, d=dim: lib.stack(xs, d), N(2, 3), N(2, 3))
add("cat: sizes", lambda lib, *xs: lib.cat(xs, 1), N(2, 3), N(2, 0), N(2, 1))
add("cat: types", lambda lib, *xs: lib.cat(xs), N(2), Z(3))
add("stack: numbers", lambda lib, *xs: lib.stack(xs), N(), N())
for size in (2, 5, [1, 3], [0, 4]):
    call("split", (N(3, 4),), size, dim=1)
call("split", (N(3, 4),), 2)
for chunks in (2, 3, 9):
    call("chunk", (N(5, 2),), chunks)
call("unbind", (A,))
call("unbind", (A,), 1)
call("select", (A,), 1, -1)
call("narrow", (A,), 2, 1, 2)
call("narrow", (A,), 2, -2, 1)
call("flip", (A,), (0, 2))
call("flip", (A,), (-1,))
call("roll", (A,), 1)
call("roll", (A,), -5, 2)
for widths in ((1, 2), (0, 1, 2, 0), (-1, 1), (1, 1, -1, -1, 0, 2)):
    call("pad", (A,), widths)
call("pad", (A,), (1, 0), value=7.0)

# ---------------------------------------------------------------- reading

for dim, high in ((0, 2), (1, 3)):
    add(f"gather: {dim}", lambda lib, x, i, d=dim: lib.gather(x, d, i), N(2, 3), Z(2, 2, high=high))
    add(f"index_select: {dim}", lambda lib, x, i, d=dim: lib.index_select(x, d, i), N(2, 3),
        Z(4, high=high))  # fmt: skip
    add(f"scatter_add: {dim}", lambda lib, x, i, s, d=dim: lib.scatter_add(x, d, i, s), N(2, 3),
        Z(2, 3, high=high), N(2, 3))  # fmt: skip
add("embedding", lambda lib, w, i: lib.nn.functional.embedding(i, w), N(4, 2), Z(2, 3))
add("one_hot", lambda lib, i: lib.nn.functional.one_hot(i), Z(2, 3))
add("one_hot: classes", lambda lib, i: lib.nn.functional.one_hot(i, 5), Z(3))
for diagonal in (-1, 0, 1):
    for name in ("tril", "triu"):
        call(name, (N(2, 3, 4),), diagonal)

# ---------------------------------------------------------------- corners

FAR = (np.array([5.0, -5.0, 1e20, 1e20, 1.0]), np.array([np.inf, np.inf, 3.0, -3.0, 0.1]))
add("remainder: far", lambda lib, a, b: lib.remainder(a, b).detach(), *FAR)
add("remainder: numbers", lambda lib, a: [a % 0.75, 7.5 % a.detach()], np.array([2.0, -0.4]))
for name in ("huber_loss", "smooth_l1_loss"):
    add(f"{name}: exact", nnf(name), np.array([1.0, 0.5, 3.0]), np.array([1.0, 0.0, 0.0]))
add("norm: zeros", lambda lib, x: lib.norm(x, 0.5), np.array([3.0, -4.0, 0.0]), second=False)
add("clamp: nan limits", lambda lib, x, a, b: lib.clamp(x, a, b).detach(),
    np.array([1.0, 1.0, np.nan]), np.array([np.nan, 0.0, 0.0]),
    np.array([2.0, np.nan, 2.0]))  # fmt: skip

# ---------------------------------------------------------------- arguments of operators

for name in ("add", "sub"):
    add(name, lambda lib, a, b, n=name: getattr(lib, n)(a, b), N(2, 3), N(3))
    add(f"{name}: alpha", lambda lib, a, b, n=name: getattr(lib, n)(a, b, alpha=-0.5), N(2), N(2))
    add(f"{name}: method", lambda lib, a, b, n=name: getattr(a, n)(b, alpha=2), N(2), N(2))
    add(f"{name}: in place", lambda lib, a, b, n=name: getattr(a * 1, n + "_")(b, alpha=2),
        N(2), N(2))  # fmt: skip
QUOTIENTS = (np.array([7.0, -7.0, 7.0, -7.0, 6.0]), np.array([2.0, 2.0, -2.0, -2.0, -3.0]))
for mode in (None, "floor", "trunc"):
    add(f"div: {mode}", lambda lib, a, b, m=mode: lib.div(a, b, rounding_mode=m), *QUOTIENTS)
    add(f"div: method {mode}", lambda lib, a, m=mode: a.div(2, rounding_mode=m), QUOTIENTS[0])
    add(f"div: whole {mode}", lambda lib, a, b, m=mode: a.div(b, rounding_mode=m),
        *(q.astype(int) for q in QUOTIENTS))  # fmt: skip
for decimals in (0, 1, -1):
    add(f"round: {decimals}", lambda lib, x, d=decimals: lib.round(x * 10, decimals=d), HALVES)

CASES += LAYERS
NAMES = [c.name for c in CASES]
assert len(set(NAMES)) == len(NAMES), sorted(n for n in NAMES if NAMES.count(n) > 1)
