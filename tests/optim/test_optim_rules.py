"""Properties that every optimizer has, whatever its rule."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optim_cases import RUNS, flat, optimizer_of, parameters, public, train

import chainrule
from chainrule.errors import GradError
from chainrule.ops.core import arrays, interpret
from chainrule.optim import Optimizer, layout
from chainrule.optim.layout import SMALL
from chainrule.tensor.core import wrap

KINDS = public(chainrule.optim, Optimizer)
RATES = {"SGD": 0.02, "Adam": 0.05, "AdamW": 0.05, "RMSprop": 0.01, "Adagrad": 0.5}
DTYPES = ("float32", "float64")
in_each_type = pytest.mark.parametrize(
    "dtype", [DTYPES[0], pytest.param(DTYPES[1], marks=pytest.mark.slow)]
)
by_name = {"ids": lambda run: run.name}
every_run = pytest.mark.parametrize("run", RUNS, **by_name)
PLAIN = [run for run in RUNS if run.second is None and not run.changes]


def make(kind, params, **settings):
    return getattr(chainrule.optim, kind)(params, **settings)


def tensors(shapes, dtype="float32", seed=0):
    """Parameters with gradients."""
    rng = np.random.default_rng(seed)
    made = []
    for shape in shapes:
        p = chainrule.tensor(np.asarray(rng.normal(size=shape), dtype), requires_grad=True)
        made.append(p)
        new_gradient(p, rng)
    return made


def new_gradient(p, rng):
    p.grad = chainrule.tensor(np.asarray(rng.normal(size=p.shape), p.dtype))


def bits(params):
    return [p.detach().numpy().tobytes() for p in params]


def parabola(x):
    return ((x - 1.0) ** 2 * chainrule.tensor([1.0, 3.0], dtype=x.dtype)).sum()


def valley(x):
    """Rosenbrock's function, with a gentler bend."""
    return (1.0 - x[0]) ** 2 + 5.0 * (x[1] - x[0] ** 2) ** 2


@in_each_type
@pytest.mark.parametrize("f", [parabola, valley])
@pytest.mark.parametrize("kind", KINDS)
def test_finds_the_minimum(kind, f, dtype):
    assert kind in RATES, f"{kind} has no lr here: add one"
    x = chainrule.tensor([-0.5, 0.8], dtype=getattr(chainrule, dtype), requires_grad=True)
    opt = make(kind, [x], lr=RATES[kind], weight_decay=0.0)
    first = f(x).item()
    for _ in range(400):
        opt.zero_grad()
        f(x).backward()
        opt.step()
    assert x.dtype.name == dtype
    assert f(x).item() < 0.01 * first


@every_run
@in_each_type
def test_a_saved_state_gives_the_same_bits(run, dtype):
    p = parameters(chainrule, dtype=dtype)
    opt = optimizer_of(chainrule, run, p)
    train(chainrule, run, opt, p, range(1, 8))
    q = parameters(chainrule, {k: v.detach().numpy().copy() for k, v in p.items()}, dtype)
    again = optimizer_of(chainrule, run, q)
    again.load_state_dict(opt.state_dict())
    assert bits(p.values()) == bits(q.values())
    train(chainrule, run, opt, p, range(8, 15))
    train(chainrule, run, again, q, range(8, 15))
    assert bits(p.values()) == bits(q.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shapes", [[(3,)], [(3,), (2, 2)]])
def test_a_saved_state_is_a_copy_on_both_sides(kind, shapes):
    opt, again = (make(kind, tensors(shapes, seed=i), lr=0.1) for i in (1, 2))
    opt.step()
    saved = opt.state_dict()
    before = copy.deepcopy(saved["state"])
    again.load_state_dict(saved)
    for _ in range(2):
        opt.step()
        again.step()
    for number, held in before.items():
        for key, value in held.items():
            assert np.array_equal(saved["state"][number][key], value), key


@every_run
def test_a_copy_goes_its_own_way(run):
    p = parameters(chainrule)
    opt = optimizer_of(chainrule, run, p)
    train(chainrule, run, opt, p, range(1, 5))
    q, again = copy.deepcopy((p, opt))
    train(chainrule, run, opt, p, range(5, 9))
    before = flat(q)
    train(chainrule, run, again, q, range(5, 9))
    assert not np.array_equal(before, flat(q))
    assert bits(p.values()) == bits(q.values())


@pytest.mark.parametrize("run", PLAIN, **by_name)
@pytest.mark.parametrize("later", [False, True])
def test_state_is_found_by_name_in_another_order(run, later):
    p = parameters(chainrule)
    opt = make(run.kind, p.items(), **run.settings)
    train(chainrule, run, opt, p, range(1, 6))
    values = {k: v.detach().numpy().copy() for k, v in reversed(p.items())}
    q = parameters(chainrule, values)
    again = make(run.kind, list(q.values()) if later else q.items(), **run.settings)
    if later:
        again.name_parameters(q.items())
    again.load_state_dict(opt.state_dict())
    train(chainrule, run, opt, p, range(6, 12))
    train(chainrule, run, again, q, range(6, 12))
    assert bits(p.values()) == bits(q[name] for name in p)


@every_run
def test_without_a_gradient_nothing_happens(run):
    p = parameters(chainrule)
    opt = optimizer_of(chainrule, run, p)
    before = flat(p)
    opt.step()
    assert np.array_equal(before, flat(p))
    train(chainrule, run, opt, p, range(1, 4))
    assert p["idle"] not in opt.state
    assert np.array_equal(p["idle"].detach().numpy(), np.ones(2))


@pytest.mark.parametrize("run", [r for r in PLAIN if "maximize" in r.settings], **by_name)
@in_each_type
def test_maximize_is_minimize_with_the_gradient_turned_round(run, dtype):
    up, down = tensors([(3, 2), ()], dtype), tensors([(3, 2), ()], dtype)
    a = make(run.kind, up, **run.settings)
    b = make(run.kind, down, **{**run.settings, "maximize": False})
    for i in range(4):
        for p, q in zip(up, down, strict=True):
            new_gradient(p, np.random.default_rng(i))
            q.grad = -p.grad
        a.step()
        b.step()
    assert bits(up) == bits(down)


@pytest.mark.parametrize("run", PLAIN, **by_name)
@in_each_type
def test_side_by_side_and_in_blocks_give_the_bits_of_the_whole(run, dtype, monkeypatch):
    """Small, just small enough, more than a buffer's worth of them, and cut into three blocks."""
    monkeypatch.setattr(layout, "SMALL", 60)
    monkeypatch.setattr(layout, "TOGETHER", 800)
    monkeypatch.setattr(layout, "BLOCK", 1600)
    shapes = [(), (1,), (3, 2), (2, 490), (7,), (0, 3), (60,), (61,), (50,), (50,), (50,)]
    whole, apart = tensors(shapes, dtype), tensors(shapes, dtype)
    together = make(run.kind, whole, **run.settings)
    for i in range(4):
        for j, p in enumerate(whole):
            p.grad = None
            if i != j % 3:  # each is left out once
                new_gradient(p, np.random.default_rng(10 * i + j))
        together.step()
    sizes = [(len(b.params), len(b.blocks)) for b in together._layouts[0].batches]
    assert max(n for n, _ in sizes) > 3
    assert max(n for _, n in sizes) > 2
    monkeypatch.undo()
    single = [make(run.kind, [p], **run.settings) for p in apart]
    for i in range(4):
        for j, q in enumerate(apart):
            q.grad = None
            if i != j % 3:
                new_gradient(q, np.random.default_rng(10 * i + j))
                single[j].step()
    assert bits(whole) == bits(apart)


SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), min_size=1, max_size=5)


@given(st.data(), st.sampled_from(PLAIN), SHAPES, st.sampled_from(DTYPES))
@settings(max_examples=60)
def test_any_shapes_with_any_gradients_missing(data, run, shapes, dtype):
    whole, apart = tensors(shapes, dtype), tensors(shapes, dtype)
    together = make(run.kind, whole, **run.settings)
    single = [make(run.kind, [p], **run.settings) for p in apart]
    for i in range(4):
        there = data.draw(st.lists(st.booleans(), min_size=len(shapes), max_size=len(shapes)))
        for p, q, is_there in zip(whole, apart, there, strict=True):
            for t in (p, q):
                t.grad = None
                if is_there:
                    new_gradient(t, np.random.default_rng(i))
        together.step()
        for opt in single:
            opt.step()
    assert bits(whole) == bits(apart)


@pytest.mark.parametrize("run", PLAIN, **by_name)
@in_each_type
def test_the_rule_means_the_same_for_tensors_and_arrays(run, dtype):
    """The same lines, run by two interpreters, and traced by a third one day: the same bits."""
    (p,) = tensors([(5,)], dtype)
    opt = make(run.kind, [p], **run.settings)
    opt.step()
    (group,) = opt.param_groups
    plain = {k: v.detach().numpy() for k, v in opt.state[p].items() if k != "step"}
    wrapped = {k: wrap(v) for k, v in plain.items()}
    h = opt.prepare(group, 2)
    value, g = p.detach().numpy(), p.grad.numpy()
    with interpret(arrays):
        wanted = opt.update(value, g, plain, h)
    with chainrule.no_grad():
        found = opt.update(wrap(value), wrap(g), wrapped, h)
    assert bits([found]) == [wanted.tobytes()]
    assert set(plain) == set(wrapped)
    for slot, v in plain.items():
        assert bits([wrapped[slot]]) == [v.tobytes()], slot


# ---------------------------------------------------------------- what may change between steps


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_state_may_be_exchanged(kind):
    """New memory, another type, a cleared state: the next step sees them."""
    p, q = tensors([(3,), (2,)])
    opt = make(kind, [p, q], lr=0.1)
    opt.step()
    p.data = chainrule.tensor([5.0, 6.0, 7.0])
    opt.step()
    assert np.all(np.abs(p.detach().numpy() - [5, 6, 7]) < 1.5)
    opt.state.clear()
    opt.step()
    fresh = make(kind, [q], lr=0.1)
    new_gradient(q, np.random.default_rng(1))
    opt.state[q] = {}
    before = q.detach().clone()
    opt.step()
    after = q.detach().clone()
    q.data = before
    fresh.step()
    assert bits([q]) == bits([after])


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_may_be_exchanged(kind):
    """As a tied or pruned layer does: the group's list is what counts."""
    p, q, other, copied = tensors([(3,), (2,), (3,), (3,)])
    copied.data = other.detach().clone()
    copied.grad = other.grad
    opt, alone = make(kind, [p, q], lr=0.1), make(kind, [copied], lr=0.1)
    opt.step()
    before = bits([p])
    opt.param_groups[0]["params"][0] = other
    opt.step()
    alone.step()
    assert bits([p]) == before
    assert bits([other]) == bits([copied])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [40, 10000])
def test_memory_in_any_order(kind, block, monkeypatch):
    """A transposed view as the value, an expanded one as the gradient; small and in blocks."""
    monkeypatch.setattr(layout, "BLOCK", block)
    monkeypatch.setattr(layout, "SMALL", block)
    p, q, a, b = tensors([(8, 6), (2,), (8, 6), (2,)])
    p.data = chainrule.arange(48.0).reshape(6, 8).T
    a.data = p.detach().clone()
    p.grad = chainrule.ones(6).expand(8, 6)
    a.grad = chainrule.ones(8, 6)
    b.data, b.grad = q.detach().clone(), q.grad
    for opt in (make(kind, [p, q], lr=0.1), make(kind, [a, b], lr=0.1)):
        opt.step()
        opt.step()
    assert bits([p, q]) == bits([a, b])


@pytest.mark.parametrize("kind", KINDS)
def test_follows_a_model_into_another_dtype(kind):
    model = chainrule.nn.Linear(3, 2)
    opt = make(kind, model.parameters(), lr=0.1)
    for dtype in (np.float32, np.float64, np.float32):
        model.to(dtype)
        opt.zero_grad()
        model(chainrule.ones(4, 3, dtype=dtype)).sum().backward()
        opt.step()
        kept = [v for s in opt.state.values() for k, v in s.items() if k != "step"]
        assert {t.dtype.name for t in [*model.parameters(), *kept]} == {np.dtype(dtype).name}


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_of_numpy_leaves_float32(kind):
    a, b = tensors([(3,)]), tensors([(3,)])
    plain, numpy = make(kind, a, lr=0.1), make(kind, b, lr=np.float64(0.1))
    for rate in (0.3, 1):
        plain.param_groups[0]["lr"] = rate
        numpy.param_groups[0]["lr"] = np.float64(rate)
        plain.step()
        numpy.step()
    assert bits(a) == bits(b)
    assert type(numpy.param_groups[0]["lr"]) is float


def test_a_slot_that_a_setting_asks_for_later():
    (p,) = tensors([(3,)])
    opt = chainrule.optim.Adam([p])
    opt.step()
    opt.param_groups[0]["amsgrad"] = True
    opt.step()
    assert {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"} == set(opt.state[p])
    assert opt.state[p]["step"] == 2


@pytest.mark.parametrize("shapes", [[(3,)], [(3,), (2, 2)], [(SMALL + 1,)]])
def test_state_of_a_parameter_can_be_read_and_written(shapes):
    params = tensors(shapes)
    opt = chainrule.optim.SGD(params, lr=0.1, momentum=0.9)
    opt.step()
    held = opt.state[params[0]]["momentum_buffer"]
    assert bits([held]) == bits([params[0].grad])
    held.zero_()
    before = params[0].detach().clone()
    params[0].grad.zero_()
    opt.step()
    assert bits([params[0]]) == bits([before])


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop", "Adagrad"])
@pytest.mark.parametrize("shapes", [[(2,)], [(2,), (3,)], [(70, 70)]])
def test_an_entry_of_the_state_may_be_exchanged(kind, shapes):
    """What stands in state[p] counts, as in PyTorch: the same bits as from a state loaded so."""
    settings = {"momentum": 0.9} if kind == "SGD" else {}
    steps = []
    for way in ("exchange", "load"):
        params = tensors(shapes)
        opt = make(kind, params, **settings)
        for p in params:
            p.grad = chainrule.ones_like(p)
        opt.step()
        entries = {n: v * 0.5 for n, v in opt.state[params[0]].items() if n != "step"}
        if "step" in opt.state[params[0]]:
            entries["step"] = 7
        if way == "exchange":
            opt.state[params[0]].update(entries)
        else:
            saved = opt.state_dict()
            saved["state"][0].update(entries)
            opt.load_state_dict(saved)
        opt.step()
        assert opt.state[params[0]].get("step", 8) == 8
        steps.append(bits(params))
    assert steps[0] == steps[1]


def test_a_group_added_on_the_way():
    p, q = tensors([(3,), (2,)])
    opt = chainrule.optim.Adam([p], lr=0.1)
    opt.step()
    opt.add_param_group({"params": [q], "lr": 0.5})
    opt.step()
    assert [g["lr"] for g in opt.param_groups] == [0.1, 0.5]
    assert (opt.state[p]["step"], opt.state[q]["step"]) == (2, 1)


@pytest.mark.parametrize("shapes", [[()], [(), (2,)]])
def test_a_step_is_a_write_that_backward_notices(shapes):
    params = tensors(shapes)
    loss = (params[0] * params[0]).sum()
    chainrule.optim.SGD(params, lr=0.1).step()
    with pytest.raises(GradError, match="overwritten") as error:
        loss.backward()
    assert "test_optim_rules.py" in str(error.value)


def test_a_closure_computes_the_loss_first():
    (p,) = tensors([(2,)])
    opt = chainrule.optim.SGD([p], lr=0.1)

    def closure():
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with chainrule.no_grad():
        first, second = opt.step(closure), opt.step(closure)
    assert second.item() < first.item()


def test_zero_grad_in_place():
    (p,) = tensors([(2,)])
    held = p.grad
    opt = chainrule.optim.SGD([p])
    opt.zero_grad(set_to_none=False)
    assert held.tolist() == [0.0, 0.0]
    opt.zero_grad()
    assert p.grad is None
    opt.zero_grad(set_to_none=False)
    assert p.grad is None


def test_prints_its_settings():
    text = repr(chainrule.optim.SGD(tensors([(2,)]), lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.5")
