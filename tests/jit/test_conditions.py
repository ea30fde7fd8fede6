"""What a function reads on the way: attributes, items, helper functions, defaults, classes."""

from __future__ import annotations

import re
import types

import pytest

import chainrule
from chainrule import nn
from chainrule.errors import TraceError

K = 2.0
settings = types.ModuleType("settings")
settings.__file__ = "settings.py"
settings.K = 2.0


def scaled(v):
    return v * K


def with_default(v, factor=2.0):
    return v * factor


class Sub:
    __slots__ = ("beta",)


class Trainer:
    gain = 1.0

    def __init__(self):
        chainrule.manual_seed(0)
        self.m = nn.Linear(2, 2)
        self.ms = {"m": nn.Linear(2, 2)}
        self.cfg = {"clip": 1.0, "deep": {"k": [1.0, 2.0]}, "other": 0}
        self.fs = [nn.ReLU(), self.shift]
        self.sub = Sub()
        self.sub.beta = 1.0
        self.q = 1.0
        self.flag = None

    @property
    def twice(self):
        return self.q * 2

    def shift(self, x):
        return x + self.sub.beta

    def helper(self, x, cfg):
        return sum([x * cfg["clip"] for _ in range(2)])

    def step(self, x):
        for f in self.fs:
            x = f(x)
        sub, cfg = self.sub, self.cfg
        y = self.ms["m"](self.m(x)) * sub.beta + self.helper(x, cfg) * self.gain
        y = y + cfg["deep"]["k"][1] + self.twice + len(self.fs)
        if getattr(self, "flag", None):
            y = y * 2
        return with_default(scaled(y)) * settings.K


CHANGES = {
    "module": (lambda t: setattr(t, "m", nn.Linear(2, 2)), "self.m is another Linear"),
    "module in a dict": (
        lambda t: t.ms.update(m=nn.Linear(2, 2)), r"self.ms\['m'\] is another Linear",
    ),
    "item": (
        lambda t: t.cfg.update(clip=0.01),
        r"self.cfg\['clip'\] changed from 1.0 to 0.01: pass it as an argument",
    ),
    "dict": (lambda t: setattr(t, "cfg", {**t.cfg, "clip": 3.0}), "self.cfg is another dict"),
    "deep": (lambda t: t.cfg["deep"]["k"].__setitem__(1, 5.0), r"self.cfg\['deep'\]\['k'\]\[1\]"),
    "slot": (lambda t: setattr(t.sub, "beta", 3.0), "self.sub.beta changed from 1.0 to 3.0"),
    "list": (lambda t: t.fs.append(nn.Tanh()), "self.fs has 3 items, and had 2"),
    "list item": (lambda t: t.fs.__setitem__(0, nn.Tanh()), r"self.fs\[0\] is another Tanh"),
    "property": (lambda t: setattr(t, "q", 3.0), "self.q changed from 1.0 to 3.0"),
    "class": (lambda t: setattr(Trainer, "gain", 3.0), "self.gain changed from 1.0 to 3.0"),
    "hidden class": (lambda t: setattr(t, "gain", 3.0), "self.gain is new"),
    "method": (
        lambda t: setattr(Trainer, "helper", lambda self, x, c: x * 5),
        "self.helper is another function",
    ),
    "getattr": (lambda t: setattr(t, "flag", True), "self.flag changed from None to True"),
    "global": (lambda t: globals().update(K=3.0), "the variable K changed from 2.0 to 3.0"),
    "module's": (lambda t: setattr(settings, "K", 3.0), "settings.K changed from 2.0 to 3.0"),
    "default": (
        lambda t: setattr(with_default, "__defaults__", (3.0,)),
        r"the defaults of with_default changed from \(2.0,\) to \(3.0,\)",
    ),
}  # fmt: skip


@pytest.fixture
def as_before(monkeypatch):
    """What tests change outside of the trainer is put back."""
    for holder, name in ((Trainer, "gain"), (Trainer, "helper"), (settings, "K"),
                         (with_default, "__defaults__")):  # fmt: skip
        monkeypatch.setattr(holder, name, getattr(holder, name))
    monkeypatch.setitem(globals(), "K", K)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_on_the_way_records_again(name, as_before):
    change, reason = CHANGES[name]
    t, x = Trainer(), chainrule.tensor([[1.0, -2.0]])
    step = chainrule.compile(t.step)
    for _ in range(2):
        assert step(x).equal(t.step(x))
    t.cfg["other"] = 1  # nobody reads it
    t.sub.beta = float("1.0")  # another object of the same value
    step(x)
    assert step.traces == 1
    change(t)
    assert step(x).equal(t.step(x))
    (said,) = step.explain_recompiles()
    assert re.search(reason, said), said


def test_an_object_among_the_arguments():
    @chainrule.compile
    def step(t, x):
        return t.helper(x, t.cfg)

    t, x = Trainer(), chainrule.ones(2)
    assert step(t, x).tolist() == [2.0, 2.0]
    t.cfg["clip"] = 2.0
    assert step(t, x).tolist() == [4.0, 4.0]
    assert step.explain_recompiles()[0].startswith("t.cfg['clip'] changed from 1.0 to 2.0")


class Net(nn.Module):
    """A dict and a list in a module, and a list of modules that it goes through."""

    def __init__(self):
        super().__init__()
        self.factors = {"k": 1.0}
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Tanh()])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x * self.factors["k"]


def test_what_a_module_holds():
    net, x = nn.Sequential(Net()), chainrule.ones(1, 2)
    step = chainrule.compile(lambda x: net(x))
    for change in (
        lambda: net[0].factors.update(k=3.0),
        lambda: net[0].layers.append(nn.Tanh()),
        lambda: net[0].layers.__setitem__(1, nn.ReLU()),
        lambda: net.insert(1, nn.Tanh()),
        lambda: net.__setitem__(1, nn.ReLU()),
        lambda: net.__delitem__(1),
    ):
        assert step(x).equal(net(x))
        change()
        assert step(x).equal(net(x))
    assert step.traces == 6  # without the layer it is as it was before


def test_a_dict_of_modules():
    heads, x = nn.ModuleDict({"a": nn.Linear(2, 2)}), chainrule.ones(1, 2)
    step = chainrule.compile(lambda x: sum(h(x) for h in heads.values()))
    for change in (
        lambda: heads.update({"a": nn.Linear(2, 2)}),
        lambda: heads.__setitem__("b", nn.Linear(2, 2)),
        lambda: heads.pop("a"),
    ):
        assert step(x).equal(sum(h(x) for h in heads.values()))
        change()
        assert step(x).equal(sum(h(x) for h in heads.values()))


class Counter:
    n = 0


def test_what_the_function_sets_itself():
    c, log, stats = Counter(), [1.0], {"n": 1}
    c.n = 0

    def count(x):
        c.n += 1
        return x * 1

    def grow(x):
        log.append(1.0)
        return x * len(log)

    def store(x):
        stats["n"] = stats["n"] + 1
        return x * 1

    for f, said in ((count, r"c\.n is set"), (grow, "log is set"), (store, r"stats\['n'\] is set")):
        with pytest.raises(TraceError, match=rf"(?s){said}.*once.*test_conditions.py"):
            chainrule.compile(f)(chainrule.ones(2))
    assert (c.n, log, stats) == (0, [1.0], {"n": 1})


class Dotted(dict):
    __getattr__ = dict.__getitem__


class Wrapped:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return self.inner[name]

    def __getitem__(self, name):
        return self.inner[name]


@pytest.mark.parametrize("kind", [Dotted, Wrapped])
def test_objects_that_pass_on_what_they_hold(kind):
    inner = {"k": 1.0}
    held = kind(inner)
    inner = held if kind is Dotted else inner
    for f in (lambda x: x * held.k, lambda x: x * held["k"]):
        inner["k"] = 1.0
        step = chainrule.compile(f)
        assert step(chainrule.ones(1)).item() == 1.0
        inner["k"] = 2.0
        assert step(chainrule.ones(1)).item() == 2.0


def test_a_cache_may_be_filled():
    cache = {}

    @chainrule.compile
    def f(x):
        if len(x) not in cache:
            cache[len(x)] = 2.0 * len(x)
        return x * cache[len(x)]

    for rows in (2, 3, 2, 3, 2):
        assert f(chainrule.ones(rows)).tolist() == [2.0 * rows] * rows
    assert f.traces <= 3


def test_an_argument_that_is_reached_elsewhere_too():
    w = chainrule.ones(2)
    f = chainrule.compile(lambda x: x + 10 * w)
    assert f(w).tolist() == [11.0, 11.0]
    assert f(chainrule.zeros(2)).tolist() == [10.0, 10.0]


class Pair:
    """Two models and two optimizers, and what changes around the step without being read."""

    def __init__(self):
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 1)
        self.optimizers = [chainrule.optim.Adam(m.parameters()) for m in (self.a, self.b)]
        self.epoch, self.history = 0, []

    def loss_a(self, x):
        return self.b(self.a(x)).mean()

    def loss_b(self, x):
        return self.b(self.a(x).detach()).square().mean()

    def step(self, x):
        for optimizer, loss_of in zip(self.optimizers, (self.loss_a, self.loss_b), strict=True):
            optimizer.zero_grad()
            loss = loss_of(x)
            loss.backward()
            optimizer.step()
        return loss


def test_what_is_not_read_records_nothing():
    pair = Pair()
    step = chainrule.compile(pair.step)
    for _ in range(2):
        step(chainrule.ones(3, 2))  # the second finds gradients that were not there before
    made = step.traces
    for epoch in range(4):
        pair.epoch = epoch
        pair.history.append(step(chainrule.ones(3, 2)).item())
        pair.optimizers[0].param_groups[0]["lr"] *= 0.5
    assert step.traces == made
    pair.loss_a = lambda x: pair.a(x).mean()
    step(chainrule.ones(3, 2))
    assert step.explain_recompiles()[-1] == "self.loss_a is new"
