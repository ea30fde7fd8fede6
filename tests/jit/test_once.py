"""What a compiled function would do once, while it is recorded, is refused; nothing is left."""

from __future__ import annotations

import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import TraceError


class Trained:
    """A layer, Adam and a schedule, after one step without compile."""

    def __init__(self):
        chainrule.manual_seed(0)
        self.model = nn.Linear(2, 1)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.1)
        self.schedule = optim.lr_scheduler.StepLR(self.optimizer, 1, gamma=0.5)
        self.n = 0
        self.step(chainrule.ones(3, 2))

    def step(self, x, before=lambda: None, after=lambda: None):
        self.optimizer.zero_grad()
        loss = self.model(x).square().sum()
        loss.backward()
        before()
        self.optimizer.step()
        after()
        return loss

    def all(self):
        saved = self.optimizer.state_dict()
        states = [{k: v.tolist() if k != "step" else v for k, v in s.items()}
                  for s in saved["state"].values()]  # fmt: skip
        weights = [p.tolist() for p in self.model.parameters()]
        return weights, states, saved["param_groups"], self.schedule.state_dict(), self.n


def scale_rate(t):
    t.optimizer.param_groups[0]["lr"] *= 0.1


def set_betas(t):
    for group in t.optimizer.param_groups:
        group["betas"] = (0.5, 0.5)


def start_count_anew(t):
    t.optimizer.state[t.model.weight]["step"] = 0


def count(t):
    t.n += 1


ACTS = {
    "schedule": (lambda t: t.schedule.step(), r"StepLR.step\(\).*scheduler=scheduler"),
    "lr": (scale_rate, r"lr of group 0 of Adam is set.*lr = 0.01.*test_once.py:\d+.*outside"),
    "betas": (set_betas, r"betas of group 0 of Adam.*test_once.py"),
    "state": (lambda t: t.optimizer.state.clear(), "the state of Adam is set"),
    "steps": (start_count_anew, "the count of steps of Adam is set"),
    "groups": (
        lambda t: t.optimizer.add_param_group({"params": [chainrule.zeros(1).requires_grad_()]}),
        "the list of groups of Adam",
    ),
    "loaded": (
        lambda t: t.optimizer.load_state_dict(t.optimizer.state_dict()),
        r"Adam.load_state_dict\(\): this would happen once",
    ),
    "counter": (count, "t.n is set.*t.n = 1.*test_once.py"),
}  # fmt: skip


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", ACTS)
def test_what_would_happen_once(name, place):
    act, said = ACTS[name]
    t = Trained()
    before, x = t.all(), chainrule.ones(3, 2)
    step = chainrule.compile(lambda x: t.step(x, **{place: lambda: act(t)}))
    for _ in range(2):
        with pytest.raises(TraceError, match=f"(?s){said}"):
            step(x)
        assert t.all() == before
    chainrule.compile(t.step)(x)
    assert t.optimizer.state[t.model.weight]["step"] == 2


def test_a_failed_recording_leaves_no_dead_tensor_as_the_rate():
    t = Trained()

    @chainrule.compile
    def step(x, k):
        t.optimizer.param_groups[0]["lr"] = k
        return t.step(x)

    before = t.all()
    with pytest.raises(TraceError, match=r"lr of group 0 of Adam is set.*\n.*lr = a tensor"):
        step(chainrule.ones(3, 2), 0.5)
    assert t.all() == before


def test_a_mode_that_the_function_sets_at_its_end():
    found = []
    for wrapped in (lambda f: f, chainrule.compile):
        chainrule.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)), chainrule.ones(4, 2)

        def step(x, model=model):
            y = model(x)
            model.eval()
            return y

        step = wrapped(step)
        rows = [step(x).tolist(), step(x).tolist()]
        model.train()
        found.append([*rows, step(x).tolist(), model.training])
    assert found[0] == found[1]
