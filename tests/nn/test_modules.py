"""Module: what is found, in which order, what is refused, and that nothing changes on an error."""

from __future__ import annotations

import copy
from collections import OrderedDict

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import ChainruleError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(4, 3)
        self.fc2 = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc2(self.fc1(x).relu())


class Tied(nn.Module):
    """Two layers with one weight, and the same layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(2, 2)
        self.b = nn.Linear(2, 2)
        self.b.weight = self.a.weight
        self.again = self.a


def values(module):
    return {k: v.numpy().copy() for k, v in module.state_dict().items()}


def unchanged(before, module):
    after = values(module)
    return before.keys() == after.keys() and all((before[k] == after[k]).all() for k in before)


# ---------------------------------------------------------------- what is found


def test_parameters_in_a_plain_list_are_not_found_as_in_pytorch():
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(2, 2)]

    assert list(Hidden().parameters()) == []
    with pytest.raises(ValueError, match="plain list"):
        chainrule.optim.SGD(Hidden().parameters(), lr=0.1)


def test_shared_parameters_are_listed_once_and_saved_under_every_name():
    m = Tied()
    names = [n for n, _ in m.named_parameters()]
    assert names == ["a.weight", "a.bias", "b.bias"]
    every = [n for n, _ in m.named_parameters(remove_duplicate=False)]
    saved = ["a.weight", "a.bias", "b.weight", "b.bias", "again.weight", "again.bias"]
    assert every == list(m.state_dict()) == saved
    assert len(list(m.modules())) == 3
    assert [n for n, _ in m.named_children()] == ["a", "b"]


def test_deepcopy_keeps_what_is_shared_and_copies_the_rest():
    m = Tied()
    m.a.weight.grad = chainrule.ones(2, 2)
    c = copy.deepcopy(m)
    assert c.a.weight is c.b.weight
    assert c.again is c.a
    assert c.a.weight is not m.a.weight
    assert c.a.weight.grad is None  # as in PyTorch: a copied Parameter starts without one
    c.a.weight.data.fill_(9.0)
    assert not (m.a.weight == 9.0).any()
    assert isinstance(c.a.weight, nn.Parameter)
    assert unchanged(values(m), m)


def test_state_dict_shares_memory_and_keep_vars_gives_the_parameters():
    m = nn.Linear(2, 2)
    m.state_dict()["weight"].fill_(3.0)
    assert bool((m.weight == 3.0).all())
    assert m.state_dict(keep_vars=True)["weight"] is m.weight
    assert list(m.state_dict(prefix="x.")) == ["x.weight", "x.bias"]


def test_buffers_are_saved_only_if_persistent_and_follow_the_type():
    m = nn.Module()
    m.register_buffer("mean", chainrule.zeros(2))
    m.register_buffer("count", chainrule.tensor(3))
    m.register_buffer("scratch", chainrule.zeros(1), persistent=False)
    m.register_buffer("empty", None)
    assert list(m.state_dict()) == ["mean", "count"]
    assert [n for n, _ in m.named_buffers()] == ["mean", "count", "scratch"]
    m.double()
    assert m.mean.dtype == m.scratch.dtype == chainrule.float64
    assert m.count.dtype == chainrule.int64
    m.mean = chainrule.ones(2)  # a tensor replaces a buffer
    assert bool((m.state_dict()["mean"] == 1).all())
    del m.mean
    assert list(m.state_dict()) == ["count"]
    assert list(m.parameters()) == []


def test_conversion_keeps_identity_and_gradients():
    m = Net()
    weight = m.fc1.weight
    m(chainrule.ones(1, 4)).sum().backward()
    m.double()
    assert m.fc1.weight is weight
    assert weight.dtype == weight.grad.dtype == chainrule.float64
    assert m.float().fc1.weight.dtype == chainrule.float32
    assert m.to("cpu") is m
    assert m.cpu() is m
    with pytest.raises(TypeError, match="float type"):
        m.to(chainrule.int64)
    with pytest.raises(ValueError, match="CPU"):
        m.to("cuda")


def test_moving_to_where_it_is_leaves_a_recorded_graph_usable():
    m = Net()
    y = m(chainrule.ones(1, 4)).sum()
    m.to("cpu").float()
    y.backward()
    assert m.fc1.weight.grad is not None


def test_modes_gradients_and_freezing():
    m = Net()
    m.eval()
    assert not any(x.training for x in m.modules())
    m.train()
    assert all(x.training for x in m.modules())
    with pytest.raises(TypeError, match="True or False"):
        m.train("yes")
    m(chainrule.ones(1, 4)).sum().backward()
    m.zero_grad(set_to_none=False)
    assert all(bool((p.grad == 0).all()) for p in m.parameters())
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())
    m.requires_grad_(False)
    assert not m(chainrule.ones(1, 4)).requires_grad
    m.requires_grad_()
    assert m(chainrule.ones(1, 4)).requires_grad


def test_apply_visits_children_first_and_returns_the_module():
    seen = []
    m = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Tanh()))
    assert m.apply(lambda x: seen.append(type(x).__name__)) is m
    assert seen == ["Linear", "Tanh", "Sequential", "Sequential"]


def test_paths():
    m = nn.Sequential(OrderedDict(body=nn.Sequential(nn.Linear(1, 2)), act=nn.Tanh()))
    assert m.get_submodule("body.0") is m[0][0]
    assert m.get_submodule("") is m
    assert m.get_parameter("body.0.bias") is m[0][0].bias
    for find, path in ((m.get_submodule, "body.1"), (m.get_parameter, "body.0.scale")):
        with pytest.raises(AttributeError, match=path):
            find(path)


# ---------------------------------------------------------------- attributes


def test_a_forgotten_super_init_says_so():
    class Forgot(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(2, 2)

    class Bare(nn.Module):
        def __init__(self) -> None:
            self.size = 3

    with pytest.raises(AttributeError, match=r"before Module\.__init__") as info:
        Forgot()
    assert "Forgot" in str(info.value)
    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Bare()(1)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("weight", chainrule.ones(2, 2)), ("weight", 3.0), ("act", 3), ("act", chainrule.ones(1)),
     ("seen", "text")],
)  # fmt: skip
def test_a_registered_name_takes_only_its_kind(attribute, value):
    m = nn.Linear(2, 2)
    m.act = nn.Tanh()
    m.register_buffer("seen", chainrule.zeros(1))
    held = getattr(m, attribute)
    with pytest.raises(TypeError, match=f"'{attribute}'"):
        setattr(m, attribute, value)
    assert getattr(m, attribute) is held
    setattr(m, attribute, None)  # None empties the name, and it stays reserved
    with pytest.raises(TypeError, match=f"'{attribute}'"):
        setattr(m, attribute, value if attribute != "seen" else 3)
    assert attribute not in dict(m.named_parameters())


def test_a_name_can_change_its_kind_by_a_module_or_parameter():
    m = nn.Module()
    m.x = nn.Parameter(chainrule.ones(1))
    m.x = nn.Tanh()
    assert list(m.parameters()) == []
    m.register_buffer("y", chainrule.ones(1))
    m.y = nn.Parameter(chainrule.ones(2))
    assert [n for n, _ in m.named_parameters()] == ["y"]
    assert list(m.buffers()) == []


def test_deleting_and_adding_again():
    m = nn.Linear(2, 2)
    del m.weight
    assert [n for n, _ in m.named_parameters()] == ["bias"]
    with pytest.raises(AttributeError):
        del m.weight
    m.weight = 5  # the name is free again
    m.weight = nn.Parameter(chainrule.ones(2, 2))
    assert [n for n, _ in m.named_parameters()] == ["bias", "weight"]


@pytest.mark.parametrize("register", ["register_parameter", "register_buffer", "add_module"])
def test_names_that_are_refused(register):
    m = nn.Module()
    m.taken = 1
    f = getattr(m, register)
    for name in ("taken", "forward", "a.b", ""):
        with pytest.raises(KeyError) as info:
            f(name, None)
        assert repr(name) in str(info.value)
        assert "\\n" not in str(info.value)  # printed as text, not as a KeyError's repr
    with pytest.raises(TypeError, match="text"):
        f(3, None)
    with pytest.raises(TypeError, match="int"):
        f("x", 3)
    assert not hasattr(m, "x")


def test_parameter_needs_a_tensor():
    with pytest.raises(TypeError, match="ndarray"):
        nn.Parameter(np.ones(2))
    p = nn.Parameter(chainrule.ones(1), requires_grad=False)
    assert not p.requires_grad


def test_models_are_copied_not_pickled():
    import pickle

    with pytest.raises(RuntimeError, match="state_dict"):
        pickle.dumps(nn.Linear(1, 1))


# ---------------------------------------------------------------- hooks


def test_hooks_see_and_replace_arguments_and_outputs():
    m = nn.Identity()
    calls = []
    first = m.register_forward_pre_hook(lambda mod, args: calls.append(args) or (args[0] + 1,))
    second = m.register_forward_hook(lambda mod, args, y: y * 10)
    assert m(1.0) == 20.0
    assert calls == [(1.0,)]
    first.remove()
    assert m(1.0) == 10.0
    second.remove()
    second.remove()
    assert m(1.0) == 1.0


def test_a_hook_registered_twice_is_removed_one_at_a_time():
    m = nn.Identity()

    def double(mod, args, y):
        return y * 2

    one, two = m.register_forward_hook(double), m.register_forward_hook(double)
    one.remove()
    one.remove()
    assert m(1.0) == 2.0
    two.remove()
    assert m(1.0) == 1.0


def test_a_hook_may_remove_itself():
    m = nn.Identity()
    handle = m.register_forward_hook(lambda mod, args, y: handle.remove())
    assert (m(3.0), m(4.0)) == (3.0, 4.0)


# ---------------------------------------------------------------- containers


def test_sequential_edits():
    a, b, c, d = nn.Tanh(), nn.ReLU(), nn.ELU(), nn.SiLU()
    s = nn.Sequential(a, b)
    s.append(c).insert(0, d)
    assert list(s) == [d, a, b, c]
    assert [n for n, _ in s.named_children()] == ["0", "1", "2", "3"]
    assert s[-1] is c
    assert list(s[1:3]) == [a, b]
    s[1] = c
    del s[0]
    assert list(s) == [c, b, c]
    assert s.pop(1) is b
    s += [a]
    assert list(s + nn.Sequential(d)) == [c, c, a, d]
    assert len(s) == 3
    for bad in (3, -4):
        for act in (s.__getitem__, s.__delitem__, s.pop, lambda i: s.__setitem__(i, a)):
            with pytest.raises(IndexError, match=str(bad)):
                act(bad)
    with pytest.raises(TypeError, match="holds Modules"):
        s.append(chainrule.relu)
    with pytest.raises(TypeError, match="whole number"):
        s["0"]
    assert list(s) == [c, c, a]


def test_module_list_is_a_list():
    layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(3))
    assert len(layers) == 3
    assert [n for n, _ in layers[1:].named_children()] == ["0", "1"]
    del layers[:2]
    assert [n for n, _ in layers.named_parameters()] == ["0.weight", "0.bias"]
    with pytest.raises(NotImplementedError, match="ModuleList"):
        layers(1)


def test_module_dict_is_a_dict():
    d = nn.ModuleDict({"a": nn.Tanh()})
    d["b"] = nn.ReLU()
    d.update(nn.ModuleDict({"c": nn.ELU()}))
    assert list(d) == list(d.keys()) == ["a", "b", "c"]
    assert "a" in d
    assert isinstance(d.pop("a"), nn.Tanh)
    del d["b"]
    assert [type(m).__name__ for _, m in d.items()] == ["ELU"]
    with pytest.raises(KeyError, match="'zzz'"):
        d["zzz"]
    with pytest.raises(KeyError, match="keys"):
        d["keys"] = nn.Tanh()
    d.clear()
    assert len(d) == 0


# ---------------------------------------------------------------- loading


@pytest.mark.parametrize("form", ["tensors", "arrays", "float64 arrays"])
def test_a_state_is_loaded_whole(form):
    source, target = Net(), Net()
    state = source.state_dict()
    if form != "tensors":
        dtype = np.float64 if "64" in form else np.float32
        state = {k: v.numpy().astype(dtype) for k, v in state.items()}
    weight = target.fc1.weight
    report = target.load_state_dict(state)
    assert (report.missing_keys, report.unexpected_keys) == ([], [])
    assert unchanged(values(source), target)
    assert target.fc1.weight is weight
    assert weight.dtype == chainrule.float32
    assert target.fc1.weight.requires_grad


def broken_states():
    def change(**kwargs):
        state = values(Net())
        for k, v in kwargs.items():
            name = k.replace("__", ".")
            if v is None:
                del state[name]
            else:
                state[name] = v
        return state

    whole = values(Net())
    yield change(fc1__weight=None), ["missing: fc1.weight"], RuntimeError
    yield change(extra=np.ones(1)), ["unexpected: extra"], RuntimeError
    yield change(fc2__bias=np.ones(7)), ["fc2.bias (7,) for (2,)"], RuntimeError
    yield (
        change(fc1__bias=None, fcl__bias=np.ones(3)),
        ["missing: fc1.bias", "unexpected: fcl.bias", "is 'fcl.bias' of the state 'fc1.bias'"],
        RuntimeError,
    )
    yield (
        change(fc1__weight=None, other=np.ones(1), fc2__bias=np.ones(7)),
        ["missing: fc1.weight", "unexpected: other", "misshaped: fc2.bias (7,) for (2,)"],
        RuntimeError,
    )
    prefixed = {f"module.{k}": v for k, v in whole.items()}
    yield prefixed, ["start with 'module.'", "missing: fc1.weight"], RuntimeError
    bare = {k.removeprefix("fc1."): v for k, v in whole.items()}
    yield bare, ["lack 'fc1.' in front"], RuntimeError
    yield change(fc2__bias=[1.0, 2.0]), ["fc2.bias", "list"], TypeError
    yield change(fc2__bias=np.array(["a", "b"])), ["fc2.bias", "U1"], TypeError
    yield [1, 2], ["list"], TypeError


@pytest.mark.parametrize(("state", "parts", "kind"), list(broken_states()))
def test_a_state_that_does_not_fit_changes_nothing(state, parts, kind):
    m = Net()
    before = values(m)
    with pytest.raises(kind) as info:
        m.load_state_dict(state)
    assert isinstance(info.value, ChainruleError)
    text = str(info.value)
    for part in parts:
        assert part in text
    assert len(text.splitlines()) <= 6
    assert unchanged(before, m)


def test_strict_false_loads_what_fits_and_reports_the_rest():
    m = Net()
    state = values(Net())
    del state["fc1.weight"]
    state["other"] = np.ones(1)
    before = values(m)
    report = m.load_state_dict(state, strict=False)
    assert report.missing_keys == ["fc1.weight"]
    assert report.unexpected_keys == ["other"]
    after = values(m)
    assert (after["fc1.weight"] == before["fc1.weight"]).all()
    assert (after["fc2.bias"] == state["fc2.bias"]).all()
    state["fc2.bias"] = np.ones(5)
    with pytest.raises(RuntimeError, match=r"fc2\.bias"):  # a wrong shape is never skipped
        m.load_state_dict(state, strict=False)


def test_a_long_list_of_names_is_cut():
    deep = nn.Sequential(*[nn.Linear(1, 1) for _ in range(20)])
    with pytest.raises(RuntimeError, match="and 36 more") as info:
        deep.load_state_dict({})
    assert len(str(info.value)) < 400
