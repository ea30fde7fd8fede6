"""Layers with weights: as recorded programs, their gradients, how they start, what they keep."""

from __future__ import annotations

import numpy as np
import pytest
from layer_cases import CASES
from tabular_cases import CASES as TABULAR

import chainrule
from chainrule import nn, tensor
from chainrule.check import gradcheck
from chainrule.ops.core import interpret
from chainrule.tensor.core import wrap
from chainrule.tensor.interpreter import apply
from frozen import about, by_name
from recorded import assert_recorded

KEPT = ("nn.BatchNorm",)  # writes running statistics: a recorded program has no memory for them
RECORDED = [
    c for c in (*CASES, *TABULAR) if not c.name.startswith(KEPT) and "dropout=1.0" not in c.name
]


class Layers:
    """`chainrule.nn`, whose layers are made eagerly: drawing weights is no part of a program."""

    def __getattr__(self, name):
        def make(**settings):
            with interpret(apply):
                layer = getattr(nn, name)(**settings).double()
            layer.double = lambda: layer
            return layer

        return make


class Library:
    """What a case asks of chainrule."""

    float64 = chainrule.float64
    nn = Layers()


IN_DOUBLE = by_name(c for c in RECORDED if "float64" in c.dtypes)


@pytest.mark.parametrize("cases", IN_DOUBLE.values(), ids=IN_DOUBLE)
def test_a_layer_is_recorded_without_a_look_at_values(cases):
    for case in cases:
        with about(case.name):
            assert_recorded(case, Library)


def doubles(*shape):
    return wrap(np.random.default_rng(3).normal(size=shape))


MODELS = {
    "convolutions": (lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, padding="same", groups=2), nn.GroupNorm(2, 4), nn.MaxPool2d(2),
        nn.Flatten(), nn.LayerNorm(4), nn.Linear(4, 2)), (3, 1, 4, 5)),
    "lstm": (lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True), (5, 2, 3)),
    "gru": (lambda: nn.GRU(3, 4, batch_first=True), (2, 5, 3)),
    "rnn": (lambda: nn.RNN(3, 4), (5, 2, 3)),
    "batch mean": (lambda: nn.BatchNorm1d(3, momentum=None), (4, 3)),
    "attention": (lambda: Attending(), (2, 3, 8)),
}  # fmt: skip


class Attending(nn.Module):
    """Self-attention after an RMS norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True)

    def forward(self, x):
        x = self.norm(x)
        return self.attention(x, x, x)[0]


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_models(name):
    make, shape = MODELS[name]
    model = make().double()
    state = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    assert gradcheck(model, doubles(*shape).requires_grad_())
    assert all((model.state_dict()[k].numpy() == v).all() for k, v in state.items())


# ---------------------------------------------------------------- what layers keep


def test_batch_norm_counts_and_forgets():
    layer = nn.BatchNorm1d(2)
    for n in (1, 2, 3):
        layer(doubles(4, 2).float())
        assert layer.num_batches_tracked.item() == n
    before = layer.running_mean.clone()
    layer.eval()(doubles(4, 2).float())
    assert layer.num_batches_tracked.item() == 3
    assert (layer.running_mean == before).all()
    layer.reset_parameters()
    assert layer.state_dict()["running_var"].tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked.item() == 0
    assert layer.running_mean.tolist() == [0.0, 0.0]


def test_running_statistics_carry_no_history():
    layer = nn.BatchNorm1d(2)
    x = doubles(4, 2).float().requires_grad_()
    layer(x).sum().backward()
    layer(x).sum().backward()
    assert not layer.running_mean.requires_grad
    assert not layer.running_var.requires_grad


def test_the_plain_mean_over_all_batches():
    layer = nn.BatchNorm1d(3, momentum=None).double()
    batches = [np.random.default_rng(i).normal(size=(5, 3)) for i in range(3)]
    for b in batches:
        layer(tensor(b))
    np.testing.assert_allclose(
        layer.running_mean.numpy(), np.mean([b.mean(0) for b in batches], 0), rtol=1e-12
    )
    np.testing.assert_allclose(
        layer.running_var.numpy(), np.mean([b.var(0, ddof=1) for b in batches], 0), rtol=1e-12
    )


def test_normalizing_far_from_zero():
    """A mean a million times the deviation costs what rounding x itself costs, and no more."""
    x = (np.random.default_rng(0).normal(size=(2, 64)) + 1e4).astype(np.float32)
    wide = x.astype(np.float64)
    wanted = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)
    y = nn.LayerNorm(64, eps=0.0, elementwise_affine=False)(tensor(x))
    np.testing.assert_allclose(y.numpy(), wanted, atol=2e-3)


def test_a_padding_row_stays_at_zero():
    layer = nn.Embedding(4, 3, padding_idx=-2)
    assert layer.padding_idx == 2
    assert layer.weight[2].tolist() == [0.0, 0.0, 0.0]
    layer(tensor([2, 1])).sum().backward()
    assert layer.weight.grad[2].tolist() == [0.0, 0.0, 0.0]
    assert layer.weight.grad[1].tolist() == [1.0, 1.0, 1.0]


def test_a_table_that_was_learned_before():
    table = chainrule.ones(4, 3)
    frozen = nn.Embedding.from_pretrained(table)
    assert not frozen.weight.requires_grad
    assert frozen(tensor([1])).tolist() == [[1.0, 1.0, 1.0]]
    assert nn.Embedding.from_pretrained(table, freeze=False, padding_idx=1).weight.requires_grad


def test_dropout_acts_in_training_only():
    attention, lstm = nn.MultiheadAttention(4, 2, dropout=0.5), nn.LSTM(4, 4, 2, dropout=0.5)
    x = doubles(3, 2, 4).float()
    for run in (lambda: attention(x, x, x)[0], lambda: lstm(x)[0]):
        assert not (run() == run()).all()
    attention.eval(), lstm.eval()
    for run in (lambda: attention(x, x, x)[0], lambda: lstm(x)[0]):
        assert (run() == run()).all()


def test_a_query_that_may_look_nowhere_gives_zero():
    layer = nn.MultiheadAttention(4, 2, bias=False)
    x = doubles(3, 2, 4).float().requires_grad_()
    padding = tensor(np.array([[True, True, True], [False, True, False]]))
    y, weights = layer(x, x, x, key_padding_mask=padding)
    assert not y[:, 0].any()
    assert not weights[0].any()
    np.testing.assert_allclose(weights[1].sum(-1).detach().numpy(), 1.0, rtol=1e-6)
    y.sum().backward()
    assert chainrule.isfinite(x.grad).all()
    assert not x.grad[:, 0].any()


def test_layers_start_anew():
    for layer in (
        nn.Conv2d(2, 3, 3), nn.LSTM(2, 3), nn.GRUCell(2, 3), nn.Embedding(4, 3, padding_idx=0),
        nn.MultiheadAttention(4, 2), nn.LayerNorm(3), nn.RMSNorm(3), nn.GroupNorm(1, 3),
    ):  # fmt: skip
        chainrule.manual_seed(1)
        layer.reset_parameters()
        first = {k: v.numpy().copy() for k, v in layer.state_dict().items()}
        with chainrule.no_grad():
            for p in layer.parameters():
                p.add_(1.0)
        chainrule.manual_seed(1)
        layer.reset_parameters()
        assert all((first[k] == v.numpy()).all() for k, v in layer.state_dict().items())
