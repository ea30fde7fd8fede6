"""The table of an optimizer's next step is what its step() does, for every optimizer there is."""

from __future__ import annotations

import numpy as np
import pytest
from test_updates import OPTIMIZERS

import chainrule
from chainrule import nn, optim
from chainrule.errors import ArgumentError
from chainrule.nn.utils import clip_grad_norm_


def trained(cls, **settings):
    """A model, its optimizer after two steps, and a loss."""
    chainrule.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x, y = chainrule.randn(8, 3), chainrule.randn(8, 2)
    made = cls(model.parameters(), lr=0.01, **settings)

    def loss():
        return ((model(x) - y) ** 2).mean()

    for _ in range(2):
        made.zero_grad()
        loss().backward()
        made.step()
    made.zero_grad()
    return model, made, loss


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_what_step_does_and_changes_nothing(name, clip):
    settings = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    model, made, loss = trained(OPTIMIZERS[name], **settings)
    before = {n: np.array(p.detach()) for n, p in model.named_parameters()}
    found = chainrule.explain_optimizer(loss, model, made, clip_grad_norm=clip, top=3)
    assert all((before[n] == p.detach().numpy()).all() for n, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())
    loss().backward()
    raw = {n: np.array(p.grad) for n, p in model.named_parameters()}
    if clip is not None:
        clip_grad_norm_(model.parameters(), clip)
        assert found.clip < 1
    made.step()
    promised = 0.0
    for n, p in model.named_parameters():
        moved = p.detach().numpy().astype(np.float64) - before[n]
        promised += float((raw[n] * moved).sum())
        own = [e for e in found.entries if e.parameter == n]
        assert len(own) == min(3, moved.size)
        assert [abs(e.step) for e in own] == sorted(np.abs(moved).ravel(), reverse=True)[:3]
        for e in own:
            assert (e.step, e.gradient) == (moved[e.index], raw[n][e.index])
            assert e.value == before[n][e.index]
            assert e.slots.keys() <= {*made.slots_of(made.param_groups[0])}
            for slot, value in e.slots.items():
                assert value == made.state[p][slot].numpy()[e.index]
    assert found.promised == pytest.approx(promised)
    slots = {s for e in found.entries for s in e.slots}
    assert slots, f"{name} keeps something"
    counted = made.counts
    assert found.made == (2 if counted else None)
    assert ("Step 3" in found.said) == counted


def test_text_and_html_have_every_number():
    model, made, loss = trained(optim.Adam)
    found = chainrule.explain_optimizer(loss, model, made, top=1)
    text, html = str(found).splitlines(), found._repr_html_()
    assert len({len(line) for line in text[1:]}) == 1, "columns"
    assert len(text) == 2 + 4
    for row in found.cells():
        assert all(f">{cell}<" in html for cell in row)
    frozen = optim.SGD([nn.Parameter(chainrule.ones(2))], 0.1)
    with pytest.raises(ArgumentError, match="updates nothing"):
        chainrule.explain_optimizer(loss, model, frozen)
    with pytest.raises(ArgumentError, match="top"):
        chainrule.explain_optimizer(loss, model, made, top=0)
