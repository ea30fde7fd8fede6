"""Numbers within attention and recurrent layers are called by the places of the user's tensors."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.derivation.elements import Place
from chainrule.derivation.models import explain
from chainrule.derivation.models.explanation import names_of
from chainrule.derivation.models.program import Program
from chainrule.derivation.models.recording import record
from derivation.model_cases import FAST, by_backward, made

F = nn.functional
B, L, S, E, HEADS = 2, 3, 4, 4, 2
NUMBERS = {"batch first": True, "sequence first": False, "no batch": None}


def numbers(*shape):
    return chainrule.tensor(np.random.default_rng(len(shape)).normal(size=shape))


class Attention(nn.Module):
    """A layer of attention, of one tensor or of a query and what it looks at."""

    def __init__(self, order, cross, bias=True):
        super().__init__()
        chainrule.manual_seed(3)
        self.att = nn.MultiheadAttention(E, HEADS, batch_first=bool(order), bias=bias).double()
        shapes = {True: ((B, L, E), (B, S, E)), False: ((L, B, E), (S, B, E)),
                  None: ((L, E), (S, E))}[order]  # fmt: skip
        self.query = numbers(*shapes[0])
        self.key = numbers(*shapes[1]) if cross else self.query

    def forward(self):
        return self.att(self.query, self.key, self.key)[0]


def loss_of(y):
    weights = chainrule.arange(y.numel(), dtype=y.dtype).reshape(y.shape)
    return (y * y * weights).sum()


def projections(model):
    """The projected numbers by name, (.., rows of in_proj_weight), as the user would write them."""
    w, b = model.att.in_proj_weight.detach(), model.att.in_proj_bias
    ranges = ((model.query, 0, 3 * E),) if model.key is model.query else (
        (model.query, 0, E), (model.key, E, 3 * E))  # fmt: skip
    found = []
    for x, first, last in ranges:
        y = np.asarray(x) @ np.asarray(w)[first:last].T
        found.append((y, y if b is None else y + np.asarray(b.detach())[first:last]))
    return found


def gradients(model, order, loss):
    """dL/d of the projected numbers, by a layer written out."""
    held = [chainrule.tensor(y, requires_grad=True) for _, y in projections(model)]
    parts = [p for y in held for p in chainrule.chunk(y, y.shape[-1] // E, -1)]
    axes = {True: (0, 2, 1, 3), False: (1, 2, 0, 3), None: (1, 0, 2)}[order]
    q, k, v = (p.reshape(*p.shape[:-1], HEADS, E // HEADS).permute(axes) for p in parts)
    y = F.scaled_dot_product_attention(q, k, v)
    back = {True: (0, 2, 1, 3), False: (2, 0, 1, 3), None: (1, 0, 2)}[order]
    y = y.permute(back)
    loss(model.att.out_proj(y.reshape(*y.shape[:-2], E))).backward()
    return [np.asarray(y.grad) for y in held]


def all_labels(program):
    """Every number of the program that has a name: its label, and what it is."""
    labels = program.labels
    for node in (*program.forward, *(n for n in program.graph.nodes if n in program.backward)):
        if labels.named(node) and node.dtype.kind == "f":
            for at in itertools.product(*map(range, node.shape)):
                yield labels(Place(node, at)), program.at(Place(node, at))


def program_of(loss, model):
    return Program(record(loss, *names_of(model)))


@pytest.mark.parametrize("bias", [True, False], ids=["", "no bias"])
@pytest.mark.parametrize("cross", [False, True], ids=["self", "cross"])
@pytest.mark.parametrize("order", NUMBERS.values(), ids=NUMBERS)
def test_projections_have_the_places_of_the_users_tensors(order, cross, bias):
    model = Attention(order, cross, bias)
    program = program_of(lambda: loss_of(model()), model)
    labels = dict(all_labels(program))
    wanted = zip(projections(model), gradients(model, order, loss_of), strict=True)
    for i, ((y, _), g) in enumerate(wanted):
        name = "att.matmul" + (f"#{i + 1}" if i else "")
        for at in itertools.product(*map(range, y.shape)):
            where = f"{name}[{','.join(map(str, at))}]"
            assert labels[where] == pytest.approx(y[at], rel=1e-12)
            assert labels[f"∂L/∂{where}"] == pytest.approx(g[at], rel=1e-9, abs=1e-14)
    assert not [k for k in labels if "permute" in k], "cut into heads, but the same numbers"


@pytest.mark.parametrize("name", FAST)
def test_what_is_called_alike_is_the_same_number(name):
    model, loss = made(name, double=True)
    program = program_of(loss, model)
    known = {}
    for label, value in all_labels(program):
        assert known.setdefault(label, value) == pytest.approx(value, rel=1e-9, abs=1e-13), label


@pytest.mark.parametrize("order", [True, False], ids=["batch first", "sequence first"])
def test_the_text_says_the_users_places(order):
    model = Attention(order, False)
    grads = by_backward(model, lambda: loss_of(model()))
    for name in ("att.in_proj_weight", "att.in_proj_bias"):
        g = grads[name]
        for row in (1, E + 1, 2 * E + 1):  # of a query, a key, a value
            at = (row, *(0 for _ in g.shape[1:]))
            text = explain(lambda: loss_of(model()), f"{name}[{','.join(map(str, at))}]",
                           model).text(200)  # fmt: skip
            assert not re.search(r"att\.matmul\[\d+,\d+\]", text)
            first, second = (B, L) if order else (L, B)
            found = re.findall(r"att\.matmul\[(\d+),(\d+),(\d+)\]", text)
            assert found
            assert all(int(a) < first and int(b) < second and int(c) < 3 * E for a, b, c in found)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
def test_what_a_recurrent_layer_projects_has_the_places_of_its_input(kind, batch_first):
    chainrule.manual_seed(1)
    model = nn.ModuleDict({"rnn": kind(2, 3, batch_first=batch_first)}).double()
    x = numbers(2, 4, 2)
    program = program_of(lambda: loss_of(model["rnn"](x)[0]), model)
    labels = dict(all_labels(program))
    y = np.asarray(x) @ np.asarray(model["rnn"].weight_ih_l0.detach()).T
    for at in itertools.product(*map(range, y.shape)):
        assert labels[f"rnn.matmul[{','.join(map(str, at))}]"] == pytest.approx(y[at], rel=1e-12)


def test_a_number_that_others_read_too_keeps_its_own_gradient():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(numbers(3, 4))

        def forward(self, x):
            h = F.linear(x, self.w.T @ self.w)  # (B, L, 4)
            heads = h.reshape(2, 3, 2, 2).permute(0, 2, 1, 3)
            return (heads @ heads.permute(0, 1, 3, 2)).sum() + h.sigmoid().sum()

    model = Twice()
    outer = nn.Sequential(model)
    program = program_of(lambda: outer(numbers(2, 3, 4)), outer)
    known = {}
    for label, value in all_labels(program):
        assert known.setdefault(label, value) == pytest.approx(value, rel=1e-9, abs=1e-13), label
