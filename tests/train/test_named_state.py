"""An optimizer's state in a checkpoint finds its parameters by name, in whatever order they are."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import StateError
from chainrule.train.state import load_named_state, named_state


class Net(nn.Module):
    def __init__(self, order):
        super().__init__()
        for name in order:
            setattr(self, name, nn.Linear(2, 2, bias=False))

    def forward(self, x):
        return self.second(self.first(x).tanh())


@pytest.mark.parametrize("with_names", [False, True])
def test_state_survives_another_definition_order(with_names):
    def adam(net):
        return optim.Adam(net.named_parameters() if with_names else net.parameters())

    net, other = Net(["first", "second"]), Net(["second", "first"])
    opt, again = adam(net), adam(other)
    net(chainrule.ones(3, 2)).sum().backward()
    opt.step()
    load_named_state(again, other, named_state(opt, net))
    for name in ("first", "second"):
        mine, theirs = getattr(other, name).weight, getattr(net, name).weight
        assert np.array_equal(again.state[mine]["exp_avg"], opt.state[theirs]["exp_avg"]), name


@pytest.mark.parametrize(
    ("mine", "first"),
    [(["first"], "2 parameters, .*'second.weight', which is new"),
     (["first", "second", "third"], "2 parameters, .*'third.weight', which is missing")],
)  # fmt: skip
def test_the_first_parameter_that_differs_is_named(mine, first):
    net, other = Net(["first", "second"]), Net(mine)
    opt, again = optim.Adam(net.parameters()), optim.Adam(other.parameters())
    before = [p.detach().numpy().copy() for p in other.parameters()]
    with pytest.raises(StateError, match=first) as caught:
        load_named_state(again, other, named_state(opt, net))
    assert caught.value.expected.startswith(f"{len(mine)} parameters: first.weight")
    assert not again.state
    assert all((p.detach().numpy() == b).all()
               for p, b in zip(other.parameters(), before, strict=True))  # fmt: skip
