"""The look inside: its numbers are what they claim to be, and training does not notice it."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.cli.recipe import ACTIVATIONS, Recipe, model_of
from chainrule.cli.view.facts import Facts
from chainrule.cli.view.probe import Probe, stages_of
from chainrule.cli.view.screen import Silent
from chainrule.cli.view.watch import EVERY, Watch
from chainrule.train import Trainer


def small(activation: str = "tanh", dropout: float = 0.0) -> nn.Sequential:
    r = Recipe("xor", layers=(5, 4), activation=activation, dropout=dropout)
    return model_of(r, features=3, classes=2).double()


def batch(rows: int = 32) -> tuple[chainrule.Tensor, chainrule.Tensor]:
    x = chainrule.randn(rows, 3, dtype=chainrule.float64)
    return x, (x.sum(1) > 0).to(chainrule.int64)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_ledger_is_the_backward_pass(activation):
    model, (x, y) = small(activation), batch()
    facts = Probe(model, nn.CrossEntropyLoss(), x, y).measure()
    assert [f.name for f in facts] == ["fc1", "fc2", "out"]
    # by hand: the error of the last layer is (softmax - one-hot) / n, then back through weights
    w3, w2 = (np.asarray(model.get_parameter(f"{n}.weight").detach()) for n in ("out", "fc2"))
    z1 = model[1](model[0](x))
    z2 = model[3](model[2](z1))
    logits = np.asarray(model[5](model[4](z2)).detach())
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    d3 = (p - np.eye(2)[np.asarray(y)]) / len(p)
    slopes = []
    for z, layer in ((z1, model[2]), (z2, model[4])):
        leaf = z.detach().requires_grad_()
        layer(leaf).sum().backward()
        slopes.append(np.asarray(leaf.grad))
    a2 = d3 @ w3
    d2 = a2 * slopes[1]
    a1 = d2 @ w2
    d1 = a1 * slopes[0]
    norm = np.linalg.norm
    expected = [(norm(d1) / norm(d2), norm(a1) / norm(d2), norm(d1) / norm(a1)),
                (norm(d2) / norm(d3), norm(a2) / norm(d3), norm(d2) / norm(a2))]  # fmt: skip
    for f, (gain, weights, slope) in zip(facts, expected, strict=False):
        assert np.allclose((f.gain, f.weights, f.slope), (gain, weights, slope), rtol=1e-12)
        assert np.isclose(f.gain, f.weights * f.slope, rtol=1e-12)
    assert facts[-1].gain is None, "the last layer has no next: not computed, not 0"


def test_a_probe_leaves_no_trace():
    model, (x, y) = small(dropout=0.5), batch()
    model.train()
    loss = nn.CrossEntropyLoss()
    loss(model(x), y).backward()
    before = {n: np.array(p.grad) for n, p in model.named_parameters()}
    rng = np.array(chainrule.get_rng_state())
    Probe(model, loss, x, y).measure()
    assert all(np.array_equal(before[n], np.asarray(p.grad)) for n, p in model.named_parameters())
    assert np.array_equal(rng, np.asarray(chainrule.get_rng_state()))
    assert all(m.training for m in model.modules())
    assert not any(m._forward_hooks for m in model.modules())


def test_dead_and_saturated_units_are_counted():
    model, (x, y) = small("relu"), batch()
    with chainrule.no_grad():
        model.get_parameter("fc1.bias")[:2] = -1e3
    facts = Probe(model, nn.CrossEntropyLoss(), x, y).measure()
    assert facts[0].dead is not None
    assert facts[0].dead >= 2 / 5
    assert facts[0].saturated is None
    model = small("tanh")
    with chainrule.no_grad():
        model.get_parameter("fc1.bias")[:] = 1e3
    facts = Probe(model, nn.CrossEntropyLoss(), x, y).measure()
    assert (facts[0].saturated, facts[0].dead) == (1.0, None)
    assert small("gelu") is not None
    unknown = Probe(small("gelu"), nn.CrossEntropyLoss(), x, y).measure()[0]
    assert (unknown.dead, unknown.saturated) == (None, None)


def test_stages_of_a_model_without_hidden_layers():
    assert [s.name for s in stages_of(model_of(Recipe("xor", layers=()), 2, 2))] == ["out"]


class Looks(Watch):
    """Notes at which steps it looks inside."""

    def __init__(self, *args):
        super().__init__(*args)
        self.steps: list[int] = []

    def _look(self, trainer, before):
        super()._look(trainer, before)
        self.steps.append(trainer.step)


def test_it_looks_at_the_first_step_of_an_epoch_and_not_too_often():
    model, (x, y) = small(), batch(64)
    loss = nn.CrossEntropyLoss()
    facts = Facts(epochs=30, batch_size=8)
    watch = Looks(facts, Probe(model, loss, x, y), Silent(), 240)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    kept = {}

    class Keep(chainrule.train.Callback):
        def on_epoch_start(self, trainer):
            kept["before"] = np.array(stages_of(model)[0].linear.weight.detach())

        def on_step_end(self, trainer):
            if trainer.step == watch.steps[-1]:
                w = np.array(stages_of(model)[0].linear.weight.detach())
                ratio = np.linalg.norm(w - kept["before"]) / np.linalg.norm(kept["before"])
                assert np.isclose(facts.layers[0].ratio, ratio, rtol=1e-12)
                weight = stages_of(model)[0].linear.weight
                assert facts.layers[0].grad == trainer.grad_norm_of(weight) > 0

    Trainer(model, loss, optimizer, callbacks=[watch, Keep()], seed=0).fit(
        (x, y), epochs=30, batch_size=8
    )
    assert watch.steps == [1, 105, 209], "every 8 steps an epoch begins; not more often than EVERY"
    assert EVERY == 100
    assert len(facts.loss.values) == 30
    assert (facts.epoch, facts.step, facts.progress) == (30, 240, 1.0)
