"""Layers against the installed torch: drawn sizes and settings, start values, whole steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule
from frozen import Case, compare, evaluate
from later import Later

pytestmark = [pytest.mark.reference, pytest.mark.slow]
torch = Later("torch")

few = settings(max_examples=40, deadline=None)
numbers = st.integers(0, 2**31).map(np.random.default_rng)
small = st.integers(1, 3)


def same(run, *inputs):
    """Values and gradients of both libraries in float64."""
    case = Case("drawn", run, inputs)
    for key, wanted in (("float64", evaluate(torch, case, inputs, "float64")),):
        compare(case, evaluate(chainrule, case, inputs, key), wanted, key)


@few
@given(rng=numbers, n=st.sampled_from([1, 2]), data=st.data())
def test_convolutions(rng, n, data):
    groups, each_in, each_out = (data.draw(small) for _ in range(3))
    kernel, stride, dilation = (data.draw(st.tuples(*[small] * n)) for _ in range(3))
    padding = data.draw(st.tuples(*[st.integers(0, 2)] * n))
    sizes = tuple(
        max(d * (k - 1) + 1 - 2 * p, 1) + data.draw(st.integers(0, 4))
        for d, k, p in zip(dilation, kernel, padding, strict=True)
    )
    x = rng.normal(size=(data.draw(small), each_in * groups, *sizes))
    w = rng.normal(size=(each_out * groups, each_in, *kernel))
    same(
        lambda lib, x, w, b: getattr(lib.nn.functional, f"conv{n}d")(
            x, w, b, stride, padding, dilation, groups
        ),
        x, w, rng.normal(size=len(w)),
    )  # fmt: skip


@few
@given(rng=numbers, n=st.sampled_from([1, 2]), ceil=st.booleans(), data=st.data())
def test_pooling(rng, n, ceil, data):
    kernel, stride, dilation = (data.draw(st.tuples(*[small] * n)) for _ in range(3))
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    sizes = tuple(
        d * (k - 1) + 1 + data.draw(st.integers(0, 4))
        for d, k in zip(dilation, kernel, strict=True)
    )
    tied = rng.integers(0, 3, (2, *sizes)).astype(float)
    same(
        lambda lib, x: getattr(lib.nn.functional, f"max_pool{n}d")(
            x, kernel, stride, padding, dilation, ceil, return_indices=True
        ),
        tied,
    )
    include = data.draw(st.booleans())
    same(
        lambda lib, x: getattr(lib.nn.functional, f"avg_pool{n}d")(
            x, kernel, stride, padding, ceil, include
        ),
        rng.normal(size=(2, 2, *sizes)),
    )


@few
@given(rng=numbers, sizes=st.tuples(*[st.integers(1, 7)] * 4))
def test_adaptive_pooling(rng, sizes):
    x = rng.normal(size=(2, *sizes[:2]))
    same(lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(x, sizes[2:]), x)


@few
@given(
    rng=numbers, batch=small, time=st.integers(1, 4), size=small, hidden=st.integers(2, 4),
    layers=st.integers(1, 2), ways=st.booleans(), first=st.booleans(), bias=st.booleans(),
    name=st.sampled_from(["RNN", "LSTM", "GRU"]),
)  # fmt: skip
def test_recurrent_layers_with_one_state(
    rng, batch, time, size, hidden, layers, ways, first, bias, name
):
    options = {"num_layers": layers, "bidirectional": ways, "batch_first": first, "bias": bias}
    theirs = getattr(torch.nn, name)(size, hidden, **options).double()
    mine = getattr(chainrule.nn, name)(size, hidden, **options).double()
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = rng.normal(size=(batch, time, size) if first else (time, batch, size))
    found = []
    for lib, model in ((torch, theirs), (chainrule, mine)):
        y, last = model(lib.tensor(x))
        (y * y).sum().backward()
        ends = last if isinstance(last, tuple) else (last,)
        found.append([t.detach().numpy() for t in (y, *ends)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-14)
    for (n, p), q in zip(theirs.named_parameters(), mine.parameters(), strict=True):
        np.testing.assert_allclose(
            q.grad.numpy(), p.grad.numpy(), rtol=1e-10, atol=1e-13, err_msg=n
        )


STARTS = {
    "Conv1d": (8, 64, 5), "Conv2d": (8, 64, 3), "Embedding": (100, 50), "LayerNorm": (50,),
    "RMSNorm": (50,), "GroupNorm": (5, 50), "BatchNorm1d": (50,), "BatchNorm2d": (50,),
    "RNN": (40, 50), "LSTM": (40, 50, 2), "GRU": (40, 50), "RNNCell": (40, 50),
    "LSTMCell": (40, 50), "GRUCell": (40, 50), "MultiheadAttention": (64, 4), "Linear": (64, 50),
}  # fmt: skip


@pytest.mark.parametrize("name", STARTS)
def test_weights_start_from_pytorchs_distributions(name):
    theirs = getattr(torch.nn, name)(*STARTS[name]).state_dict()
    mine = getattr(chainrule.nn, name)(*STARTS[name]).state_dict()
    assert list(mine) == list(theirs)
    for key, wanted in theirs.items():
        w, m = wanted.numpy().astype(float), mine[key].numpy().astype(float)
        assert mine[key].dtype.name == wanted.numpy().dtype.name
        if w.std() == 0:
            np.testing.assert_array_equal(m, w, err_msg=key)
            continue
        uncertain = 6 / np.sqrt(w.size)  # a factor that chance explains
        assert abs(np.log(m.std() / w.std())) < uncertain, key
        assert abs(m.mean() - w.mean()) < 2 * w.std() * uncertain, key
        if w.size > 1000 and name != "Embedding":  # uniform: the ends are sharp
            assert abs(np.abs(m).max() / np.abs(w).max() - 1) < 0.02, key


def test_a_convolutional_network_takes_the_same_steps():
    rng = np.random.default_rng(0)
    models = []
    for lib in (torch, chainrule):
        n = lib.nn
        models.append(n.Sequential(
            n.Conv2d(1, 4, 3, padding=1), n.BatchNorm2d(4), n.ReLU(), n.MaxPool2d(2),
            n.Conv2d(4, 8, 3), n.GroupNorm(2, 8), n.GELU(), n.AdaptiveAvgPool2d(1), n.Flatten(),
            n.LayerNorm(8), n.Linear(8, 3),
        ).double())  # fmt: skip
    theirs, mine = models
    mine.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x, t = rng.normal(size=(6, 1, 8, 8)), rng.integers(0, 3, 6)
    for lib, model in ((torch, theirs), (chainrule, mine)):
        optimizer = lib.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(5):
            optimizer.zero_grad()
            lib.nn.CrossEntropyLoss()(model(lib.tensor(x)), lib.tensor(t)).backward()
            optimizer.step()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(
            mine.state_dict()[name].numpy(), value.numpy(), rtol=1e-9, atol=1e-12, err_msg=name
        )
