"""Layers, losses and functions against the installed torch: drawn shapes, options and values."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nn_cases import ACTIVATIONS

import chainrule
from chainrule import nn
from frozen import Case, compare, evaluate
from later import Later

pytestmark = [pytest.mark.reference, pytest.mark.slow]
torch = Later("torch")

few = settings(max_examples=25, deadline=None)
numbers = st.integers(0, 2**31).map(np.random.default_rng)
shapes = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)
reductions = st.sampled_from(["mean", "sum", "none"])


def same(run, inputs, second=True, dtypes=("float64", "float32")):
    """Values and gradients of both libraries, on the same inputs.

    Second derivatives in float32 are held to PyTorch's float64 ones: differences of large terms,
    they keep no more digits there than here.
    """
    case = Case("drawn", run, inputs, second)
    exact = evaluate(torch, case, inputs, "float64")
    for dtype in dtypes:
        wanted = exact if dtype == "float64" else evaluate(torch, case, inputs, dtype)
        wanted |= {key: value for key, value in exact.items() if key[0] == "h"}
        compare(case, evaluate(chainrule, case, inputs, dtype), wanted, dtype)


@pytest.mark.parametrize("name", ACTIVATIONS)
@few
@given(rng=numbers, shape=shapes, scale=st.sampled_from([0.1, 1.0, 10.0]))
def test_activations(name, rng, shape, scale):
    x = rng.normal(size=shape) * scale
    same(lambda lib, x: getattr(lib.nn, name)()(x), (np.asarray(x),), scale < 10)


@few
@given(rng=numbers, shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_softmaxes(rng, shape, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = rng.normal(size=shape) * 5
    for name in ("softmax", "log_softmax", "logsumexp"):
        same(lambda lib, x, n=name: getattr(lib, n)(x, dim), (x,))


@few
@given(
    rng=numbers, batch=st.integers(1, 5), classes=st.integers(1, 5),
    extra=st.lists(st.integers(1, 3), max_size=2), reduction=reductions,
    smoothing=st.sampled_from([0.0, 0.1, 1.0]), weighted=st.booleans(), ignored=st.booleans(),
    kind=st.sampled_from(["classes", "probabilities", "nll"]),
)  # fmt: skip
def test_class_losses(
    rng, batch, classes, extra, reduction, smoothing, weighted, ignored, kind
):  # fmt: skip
    x = rng.normal(size=(batch, classes, *extra)) * 3
    target = rng.integers(0, classes, (batch, *extra))
    options = {"reduction": reduction}
    if ignored and kind != "probabilities" and (target != target.flat[0]).any():
        options["ignore_index"] = int(target.flat[0])
    if kind == "probabilities":
        target = rng.uniform(size=x.shape)
    if kind != "nll":
        options["label_smoothing"] = smoothing
    w = rng.uniform(0.1, 2, classes)

    def run(lib, x, t, w):
        weight = w.detach() if weighted else None
        loss = lib.nn.NLLLoss if kind == "nll" else lib.nn.CrossEntropyLoss
        return loss(weight=weight, **options)(x, t)

    same(run, (x, target, w))


@few
@given(
    rng=numbers, shape=shapes, reduction=reductions, weighted=st.booleans(),
    positive=st.booleans(),
)  # fmt: skip
def test_binary_losses(rng, shape, reduction, weighted, positive):
    x, t = np.asarray(rng.normal(size=shape) * 10), np.asarray(rng.uniform(size=shape))
    w = np.asarray(rng.uniform(0.1, 3, shape[-1:]))

    def logits(lib, x, t, w):
        return lib.nn.BCEWithLogitsLoss(
            weight=w.detach() if weighted else None, reduction=reduction,
            pos_weight=w.detach() if positive else None,
        )(x, t)  # fmt: skip

    def probabilities(lib, p, t, w):
        return lib.nn.BCELoss(weight=w.detach() if weighted else None, reduction=reduction)(p, t)

    same(logits, (x, t, w))
    same(probabilities, (np.asarray(rng.uniform(0.01, 0.99, shape)), t, w), second=False)


@few
@given(
    rng=numbers, shape=shapes, reduction=reductions, parameter=st.floats(0.1, 3),
    name=st.sampled_from(["mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"]),
)  # fmt: skip
def test_regression_losses(rng, shape, reduction, parameter, name):
    x, t = np.asarray(rng.normal(size=shape)), np.asarray(rng.normal(size=shape))
    options = {"reduction": reduction}
    if name == "huber_loss":
        options["delta"] = parameter
    if name == "smooth_l1_loss":
        options["beta"] = parameter
    same(lambda lib, x, t: getattr(lib.nn.functional, name)(x, t, **options), (x, t))


@few
@given(
    rng=numbers, lead=st.lists(st.integers(0, 3), max_size=3), inputs=st.integers(1, 4),
    out=st.integers(1, 4), bias=st.booleans(),
)  # fmt: skip
def test_linear(rng, lead, inputs, out, bias):
    x, w = rng.normal(size=(*lead, inputs)), rng.normal(size=(out, inputs))
    b = (rng.normal(size=out),) if bias else ()
    same(lambda lib, *xs: lib.nn.functional.linear(*xs), (x, w, *b))


@few
@given(rng=numbers, a=shapes, b=shapes, m=st.integers(1, 3), k=st.integers(1, 3))
def test_matmul_of_any_ranks(rng, a, b, m, k):
    batch = a[:2]
    left = rng.normal(size=(*batch, m, k)) if b else rng.normal(size=k)
    right = rng.normal(size=(*batch[len(b) % 3 :], k, 2)) if a else rng.normal(size=k)
    same(lambda lib, x, y: x @ y, (left, right))


@few
@given(rng=numbers, shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), data=st.data())
def test_reductions(rng, shape, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    keep = data.draw(st.booleans())
    correction = data.draw(st.integers(0, 1))
    x = rng.normal(size=shape)
    for name in ("sum", "mean", "amax", "amin", "prod", "logsumexp"):
        same(lambda lib, x, n=name: getattr(lib, n)(x, dim, keepdim=keep), (x,))
    for name in ("max", "min", "median"):
        same(lambda lib, x, n=name: getattr(lib, n)(x, dim, keepdim=keep), (x,))
    if shape[dim] > correction + 1:
        # spread out: where nearly equal numbers have a deviation near 0, its second derivative
        # is a difference of two huge terms, and in float32 what is left of it is rounding
        steps = 3.0 * np.arange(shape[dim])
        spread = np.moveaxis(np.moveaxis(np.sort(x, dim), dim, -1) + steps, -1, dim)
        for name in ("var", "std"):
            same(
                lambda lib, x, n=name: getattr(lib, n)(
                    x, dim=dim, keepdim=keep, correction=correction
                ),
                (spread,),
            )


@few
@given(rng=numbers, sizes=st.lists(st.integers(1, 5), min_size=2, max_size=4), p=st.floats(0, 0.9))
def test_whole_networks_take_the_same_step(rng, sizes, p):
    """The same state_dict gives the same loss, gradients and weights after a step."""
    models = []
    for lib in (torch, chainrule):
        layers = []
        for a, b in itertools.pairwise(sizes):
            layers += [lib.nn.Linear(a, b), lib.nn.Dropout(p), lib.nn.GELU()]
        models.append(lib.nn.Sequential(*layers).double().eval())
    theirs, mine = models
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x, t = rng.normal(size=(3, sizes[0])), rng.normal(size=(3, sizes[-1]))
    for lib, model in ((torch, theirs), (chainrule, mine)):
        optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
        loss = lib.nn.MSELoss()(model(lib.tensor(x)), lib.tensor(t))
        loss.backward()
        optimizer.step()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(mine.state_dict()[name].numpy(), value.numpy(), rtol=1e-12)


LEFT_OUT = {
    "Embedding": {"max_norm", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze"},
    "MultiheadAttention": {"add_bias_kv", "add_zero_attn", "kdim", "vdim"},
}


def test_every_layer_has_pytorchs_arguments():
    """Where PyTorch has the class, its arguments come by the same names, order and defaults."""
    ours_only = {"device"}
    for name, ours in vars(nn).items():
        theirs = getattr(torch.nn, name, None)
        if not inspect.isclass(ours) or theirs is None or name in ("Module", "Parameter"):
            continue
        wanted = [
            p for p in inspect.signature(theirs).parameters.values()
            if p.name not in {"device", "size_average", "reduce", "args", "kwargs", "modules",
                              "min_value", "max_value", "arg"} | LEFT_OUT.get(name, set())
        ]  # fmt: skip
        got = inspect.signature(ours).parameters
        for p in wanted:
            assert p.name in got, f"nn.{name}: no argument {p.name!r}"
            if p.default is not p.empty and p.name not in ours_only:
                assert got[p.name].default == p.default, f"nn.{name}: default of {p.name}"


def test_every_function_has_pytorchs_arguments():
    """The same for nn.functional, where torch's are written in Python and so can be asked."""
    other = {"_stacklevel", "dtype", "size_average", "reduce", "inplace", "padding_idx", "max_norm",
             "norm_type", "scale_grad_by_freq", "sparse"}  # fmt: skip
    asked = 0
    for name, ours in vars(nn.functional).items():
        theirs = getattr(torch.nn.functional, name, None)
        if not inspect.isfunction(ours) or not inspect.isfunction(theirs):
            continue
        wanted = [p for p in inspect.signature(theirs).parameters.values() if p.name not in other]
        if all(p.kind is not p.VAR_POSITIONAL for p in wanted):  # torch dispatches some anew
            asked += 1
            got = inspect.signature(ours).parameters
            names = [p.name for p in wanted]
            if "weight" not in got:  # regression losses have no weights for the elements here
                names = [n for n in names if n != "weight"]
            assert names == [n for n in got if n not in other], name
    assert asked > 15
