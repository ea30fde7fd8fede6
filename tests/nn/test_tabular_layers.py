"""Layers for tables: how they start, members, dropout that a schedule moves, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim, tensor
from chainrule.errors import ArgumentError, ArgumentTypeError, IndexRangeError, ShapeError

X = np.random.default_rng(1).normal(size=(64, 3)).astype(np.float32)
C = np.random.default_rng(2).integers(0, 3, (64, 2))


def network(seed, **settings):
    chainrule.manual_seed(seed)
    made = nn.TabularMLP(3, [3, 30], 2, hidden=[16, 8], regression=True, **settings)
    made.start(tensor(X), tensor(C))
    made.target.start(tensor(X[:, :2] * (seed + 1.0) + seed))
    return made


def test_units_start_with_variance_one_and_a_zero_among_the_rows():
    made = network(0)
    x = made.columns(tensor(X), tensor(C))
    for i, layer in enumerate(made.linear):
        z = layer(x)
        np.testing.assert_allclose(z.std(0, correction=0).detach().numpy(), 1.0, rtol=1e-3)
        assert ((z < 0).any(0) & (z > 0).any(0)).all()
        if i < 2:
            x = made.act[i](z)


def test_members_are_the_networks_that_they_were_made_of():
    alone = [network(s) for s in range(3)]
    together = nn.TabularMLP.stacked(alone)
    for training in (True, False):
        together.train(training)
        for i, one in enumerate(alone):
            chainrule.manual_seed(7)
            wanted = one.train(training)(tensor(X), tensor(C))
            for again, place in ((together, i), (together.member(i), ...)):
                chainrule.manual_seed(7)
                y = again(tensor(X), tensor(C))[place]
                assert chainrule.allclose(y, wanted, rtol=1e-5, atol=1e-5)
    state = together.state_dict()
    assert state["linear.0.weight"].shape == (3, 3 * 4 + 3 + 8, 16)
    with pytest.raises(ArgumentError, match="differ in their settings"):
        nn.TabularMLP.stacked([alone[0], network(0, sigma=0.2)])
    with pytest.raises(ArgumentError, match="no such member"):
        together.member(3)
    with pytest.raises(ArgumentError, match="one by one"):
        together.start(tensor(X), tensor(C))


def test_a_schedule_moves_dropout_and_nothing_is_compiled_again():
    layer = nn.ScheduledDropout(0.5, members=2)

    @chainrule.compile
    def run(x):
        return layer(x)

    x = chainrule.ones(1000, 8)
    for p in ([0.5, 0.5], [0.1, 0.0], [0.9, 0.2]):
        layer.rate.copy_(tensor(p))
        y = run(x).numpy()
        for share, found in zip(p, y, strict=True):
            kept = np.float32(1.0 / (1.0 - np.float32(share)))
            np.testing.assert_allclose(
                np.unique(found), [0.0, kept][0 if share else 1 :], rtol=1e-6
            )
            assert abs((found == 0).mean() - share) < 0.03
        assert not ((y[1] == 0) & (y[0] != 0)).any()  # they share what decides
    assert run.traces == 1
    assert (layer.eval()(x) == x).all()
    assert not layer.state_dict()


def test_parameter_groups_hold_every_parameter_once():
    made = network(0)
    groups = made.parameter_groups(0.04, 0.02)
    optim.AdamW(groups)
    rates = {name: (g["lr"], g["weight_decay"]) for g in groups for name, _ in g["params"]}
    assert set(rates) == {name for name, _ in made.named_parameters()}
    assert rates["linear.1.weight"] == rates["categories.table1"] == (0.04, 0.02)
    assert rates["scaling.weight"] == (0.24, 0.02)
    assert rates["linear.1.bias"] == (0.004, 0.0)
    assert rates["act.0.weight"] == rates["numeric.frequency"] == (0.004, 0.02)


def test_a_regression_answers_within_the_range_of_its_targets():
    made = network(0).eval()
    y = made(tensor(X * 100), tensor(C)).detach().numpy()
    seen = X[:, :2]
    assert (y >= seen.min(0) - 1e-6).all()
    assert (y <= seen.max(0) + 1e-6).all()
    flat = nn.TargetScale(2)
    flat.start(tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert flat.std.tolist() == [1.0, 1.0]


def test_start_again_from_a_seed():
    for make in (lambda: nn.NTPLinear(3, 2), lambda: nn.PeriodicEmbedding(3),
                 lambda: nn.CategoryEncoding([30])):  # fmt: skip
        chainrule.manual_seed(1)
        first = [p.detach().numpy().copy() for p in make().parameters()]
        chainrule.manual_seed(1)
        assert all((a == p.detach().numpy()).all() for a, p in zip(first, make().parameters(),
                                                                 strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("run", "error", "match"),
    [
        (lambda: nn.TabularMLP(0, [], 2), ArgumentError, "no columns"),
        (lambda: network(0)(tensor(X)), ArgumentError, "categorical columns"),
        (lambda: network(0)(tensor(X[:, :2]), tensor(C)), ShapeError, r"\(B, 3\)"),
        (lambda: network(0)(tensor(X), tensor(C[:5])), ShapeError, "numbers of rows"),
        (lambda: network(0)(tensor(X), tensor(C + 30)), IndexRangeError, "30"),
        (lambda: nn.ScheduledDropout(1.0), ArgumentError, "below 1"),
        (lambda: nn.ParametricActivation(2, "sine"), ArgumentError, "selu"),
        (lambda: nn.PeriodicEmbedding(2, sigma=0.0), ArgumentError, "sigma"),
        (lambda: nn.NTPLinear(0, 2), ArgumentTypeError, "in_features"),
        (lambda: network(0).parameter_groups("much"), ArgumentError, "much"),
    ],
)
def test_what_does_not_fit_is_refused(run, error, match):
    with pytest.raises(error, match=match):
        run()
