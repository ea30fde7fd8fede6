"""What records another program, what does not, and that the reason is said."""

from __future__ import annotations

import re

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim
from chainrule.errors import ArgumentTypeError, RecompileError, TraceError


def training(kind="SGD", **settings):
    """A model, its optimizer, and the step that anybody writes."""
    chainrule.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 2))
    optimizer = getattr(optim, kind)(model.parameters(), **settings)
    loss_of = nn.CrossEntropyLoss()

    def step(x, y, max_norm=1.0):
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        return loss

    return model, optimizer, step


def batch(rows=5, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    return chainrule.tensor(x), chainrule.tensor(rng.integers(0, 2, rows))


def test_a_schedule_compiles_nothing_again():
    found = []
    for wrapped in (lambda f: f, chainrule.compile):
        model, optimizer, step = training("AdamW", lr=0.1)
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        step = wrapped(step)
        for i in range(10):
            step(*batch(seed=i), 0.5 + i)
            schedule.step()
            optimizer.param_groups[0]["betas"] = (0.9 - i / 100, 0.99)
            optimizer.param_groups[0]["weight_decay"] = i / 10
        found.append([p.detach().numpy() for p in model.parameters()])
    assert step.traces == 1
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


CHANGES = {
    "shape": (lambda m, o, b: batch(6), r"x is float32 \(6, 3\), and was float32 \(5, 3\)"),
    "dtype": (lambda m, o, b: (b[0], b[1].int()), r"y is int32 \(5,\), and was int64 \(5,\)"),
    "mode": (lambda m, o, b: m.eval() and None, "training of .* changed from True to False"),
    "attribute": (lambda m, o, b: setattr(m[2], "p", 0.5), "p of Dropout changed from 0.2 to 0.5"),
    "layer": (lambda m, o, b: setattr(m, "1", nn.ReLU()), "1 of Sequential is another object"),
    "hook": (
        lambda m, o, b: m[1].register_forward_hook(lambda *a: None) and None,
        "_forward_hooks of Tanh",
    ),
    "frozen": (
        lambda m, o, b: m[0].requires_grad_(False) and None,
        "0.weight requires no gradient now",
    ),
    "maximize": (lambda m, o, b: o.param_groups[0].update(maximize=True), "maximize of group 0"),
    "momentum": (
        lambda m, o, b: o.param_groups[0].update(momentum=0.9),
        r"momentum = 0.9 in group 0 of SGD keeps other values \(momentum_buffer\)",
    ),
    "group": (
        lambda m, o, b: o.add_param_group({"params": [chainrule.zeros(2).requires_grad_()]}),
        "another number of parameter groups",
    ),
    "requires grad": (lambda m, o, b: (b[0].requires_grad_(), b[1]), "x is .* requires grad"),
    "number": (lambda m, o, b: (*b, 2), "max_norm is int|3 arguments|max_norm"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_records_again_and_why(name):
    change, reason = CHANGES[name]
    model, optimizer, step = training(lr=0.1)
    step = chainrule.compile(step)
    given = batch()
    step(*given)
    step(*given)
    assert step.traces == 1
    given = change(model, optimizer, given) or given
    with (
        chainrule.assert_no_recompile(),
        pytest.raises(RecompileError, match=f"(?s)would be compiled again.*{reason}"),
    ):
        step(*given)
    before = model[3].weight.detach().clone()
    step(*given)
    assert not before.equal(model[3].weight)
    assert step.traces == 2
    (said,) = step.explain_recompiles()
    assert re.search(reason, said), said
    given[0].grad = None
    step(*given)
    assert step.traces == 2


def test_a_program_is_found_again():
    _, _, step = training(lr=0.1)
    step = chainrule.compile(step)
    for rows in (5, 6, 5, 6, 5):
        step(*batch(rows))
    assert step.traces == 2
    with chainrule.no_grad(), pytest.raises(RuntimeError):
        step(*batch())  # nothing to go backward through


def test_a_loaded_state_compiles_nothing_again():
    model, optimizer, step = training("Adam", lr=0.1)
    step = chainrule.compile(step)
    step(*batch())
    saved = {k: v.clone() for k, v in model.state_dict().items()}, optimizer.state_dict()
    rng = chainrule.get_rng_state()
    expected = [step(*batch(seed=i)).item() for i in range(3)]
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    chainrule.set_rng_state(rng)
    assert [step(*batch(seed=i)).item() for i in range(3)] == expected
    assert step.traces == 1
    assert optimizer.state_dict()["state"][0]["step"] == 4


@pytest.mark.parametrize("settings", [{"momentum": 0.9}, {}])
def test_eager_and_compiled_steps_take_turns(settings):
    found = []
    for compiled in (set(), {0, 1, 4}, {2, 3, 5}):
        model, _, step = training("SGD", lr=0.1, **settings)
        program = chainrule.compile(step)
        for i in range(6):
            (program if i in compiled else step)(*batch(seed=i))
        found.append([p.detach().numpy() for p in model.parameters()])
        assert program.traces <= 1
    for a, b, c in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_an_emptied_state_starts_anew_without_a_recording():
    model, optimizer, step = training("SGD", lr=0.1, momentum=0.9)
    step = chainrule.compile(step)
    losses = []
    start = {k: v.clone() for k, v in model.state_dict().items()}
    for _ in range(2):
        chainrule.manual_seed(1)
        model.load_state_dict(start)
        optimizer.state.clear()
        losses.append([step(*batch(seed=i)).item() for i in range(3)])
    assert losses[0] == losses[1]
    assert step.traces == 1


def test_an_optimizer_of_ones_own():
    class Signum(optim.Optimizer):
        fixed = frozenset({"rounds"})

        def __init__(self, params, lr=1e-3, beta=0.9, rounds=2, plain=True):
            defaults = {"lr": lr, "beta": beta, "rounds": rounds, "plain": plain}
            super().__init__(params, defaults)

        def slots_of(self, group):
            return ("mean",)

        def update(self, p, g, s, h):
            for _ in range(h["rounds"]):
                s["mean"] = s["mean"] * h["beta"] + g * (1 - h["beta"])
            if not h["plain"] and h["beta"]:
                return p
            return p - chainrule.ops.sign(s["mean"]) * h["lr"]

    found = []
    for wrapped in (lambda f: f, chainrule.compile):
        w = chainrule.tensor([1.0, -2.0, 0.0]).requires_grad_()
        optimizer = Signum([w], lr=0.25)

        @wrapped
        def step(x, w=w, optimizer=optimizer):
            optimizer.zero_grad()
            ((w - x) ** 2).sum().backward()
            optimizer.step()

        for i in range(4):
            step(chainrule.ones(3) * i)
            optimizer.param_groups[0]["beta"] /= 2
        optimizer.param_groups[0]["rounds"] = 1
        step(chainrule.ones(3))
        found.append(w.tolist())
    assert found[0] == found[1]
    assert step.explain_recompiles() == ["rounds of group 0 of Signum changed from 2 to 1"]
    optimizer.param_groups[0]["plain"] = False
    with pytest.raises(TraceError, match=r"(?s)the truth of a tensor.*beta.*active\(factor\)"):
        step(chainrule.ones(3))


def test_static_numbers_are_part_of_the_program():
    @chainrule.compile(static=["n"])
    def f(x, n, scale=1.0):
        return x[:n] * scale

    x = chainrule.arange(4.0)
    assert f(x, 2).tolist() == [0, 1]
    assert f(x, n=3).tolist() == [0, 1, 2]
    assert f(x, 2, scale=2.0).tolist() == [0, 2]
    assert f(x, 2, scale=3.0).tolist() == [0, 3]
    assert f.traces == 3
    with pytest.raises(ArgumentTypeError, match="no argument is called 'm'"):
        chainrule.compile(lambda x: x, static="m")


def test_variables_are_compared():
    scale, w = 2.0, chainrule.ones(2)

    @chainrule.compile
    def f(x):
        return x * scale + w

    assert f(chainrule.ones(2)).tolist() == [3, 3]
    w[0] = 5.0  # by reference: nothing is recorded again
    assert f(chainrule.ones(2)).tolist() == [7, 3]
    assert f.traces == 1
    scale = 3.0
    assert f(chainrule.ones(2)).tolist() == [8, 4]
    w = chainrule.zeros(2)
    assert f(chainrule.ones(2)).tolist() == [3, 3]
    assert f.explain_recompiles() == [
        "the variable scale changed from 2.0 to 3.0: pass it as an argument",
        "the variable w is another Tensor",
    ]


def test_objects_are_part_of_the_program():
    @chainrule.compile
    def step(model, x):
        return model(x)

    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    x = chainrule.ones(1, 2)
    for m in (a, b, a, b):
        assert step(m, x).equal(m(x))
    assert step.traces == 2


def test_methods_and_modules():
    class Learner:
        def __init__(self):
            self.rate, self.w = 0.5, chainrule.ones(2)

        @chainrule.compile
        def decorated(self, x):
            return self.w * x * self.rate

        def bound(self, x):
            return self.w * x * self.rate

    one, two = Learner(), Learner()
    two.w = chainrule.zeros(2)
    x = chainrule.tensor([2.0, 4.0])
    assert one.decorated(x).tolist() == [1, 2]
    assert two.decorated(x).tolist() == [0, 0]
    bound = chainrule.compile(one.bound)
    assert bound(x).tolist() == [1, 2]
    one.rate = 1.0
    assert bound(x).tolist() == [2, 4]
    model = nn.Linear(2, 2)
    assert chainrule.compile(model)(x).equal(model(x))


def test_only_so_many_programs_are_kept():
    f = chainrule.compile(lambda x: x * 2.0, programs=3)
    for n in range(3):
        f(chainrule.ones(n))
    with pytest.raises(RecompileError, match=r"(?s)compiled 3 times.*float32 \(3,\), and was"):
        f(chainrule.ones(3))
    assert f(chainrule.ones(1)).tolist() == [2]


def test_structures():
    f = chainrule.compile(lambda p: {"a": [p["x"][0] + 1, None], "b": (p["x"][1], "word", 3)})
    x, y = chainrule.ones(2), chainrule.zeros(1)
    found = f({"x": (x, y)})
    assert found["a"][0].tolist() == [2, 2]
    assert found["a"][1] is None
    assert found["b"] == (y, "word", 3)
    assert found["b"][0] is y
    best = chainrule.compile(lambda x: x.max(0))(chainrule.tensor([1.0, 3.0]))
    assert best.values.item() == 3
    assert best.indices.item() == 1
    array = chainrule.compile(lambda x: x * 2)(np.arange(3.0))
    assert array.dtype == chainrule.float64
    with pytest.raises(ArgumentTypeError, match="what can't be made again"):
        chainrule.compile(lambda x: object())(x)
    with pytest.raises(ArgumentTypeError, match="needs a function"):
        chainrule.compile(3)


def test_numbers_leave_dtypes_as_they_are():
    def f(x, i, a, n):
        return x * a, i * a, x.sum() * a, i + n, a * n + 1, x * (a / 3.0) ** n

    given = chainrule.ones(2), chainrule.tensor([1, 2]), 0.1, 3
    eager = f(*given)
    step = chainrule.compile(f)
    for a, b in zip(eager, step(*given), strict=True):
        if isinstance(a, float):
            assert b.dtype == chainrule.float64
            assert b.item() == a
        else:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert step(*given[:2], 0.5, 2)[4].item() == 2.0
    assert step.traces == 1


def test_arguments_that_are_one_tensor():
    def f(x, y):
        x += 1.0
        return x * y

    step = chainrule.compile(f)
    x = chainrule.ones(2)
    assert step(x, x).tolist() == [4, 4]
    assert step(x, chainrule.ones(2)).tolist() == [3, 3]
    assert x.tolist() == [3, 3]
    assert step.traces == 2


def test_a_parameter_that_is_passed_must_stay_the_one_that_is_trained():
    w = chainrule.ones(2).requires_grad_()
    optimizer = optim.SGD([w], lr=0.5)

    @chainrule.compile
    def step(p, x):
        optimizer.zero_grad()
        (p * x).sum().backward()
        optimizer.step()

    step(w, chainrule.ones(2))
    assert w.tolist() == [0.5, 0.5]
    other = chainrule.ones(2).requires_grad_()
    step(other, chainrule.ones(2))
    assert w.tolist() == [0.5, 0.5]
    assert other.grad.tolist() == [1, 1]
    assert "argument 0 is another tensor" in step.explain_recompiles()[0]


def test_points_with_gradients_of_their_own_compile_once():
    model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))

    def residual(x):
        u = model(x)
        (du,) = chainrule.autograd.grad(u.sum(), x, create_graph=True)
        (ddu,) = chainrule.autograd.grad(du.sum(), x, create_graph=True)
        loss = ((ddu + u) ** 2).mean()
        loss.backward()
        return loss, [p.grad for p in model.parameters()]

    step = chainrule.compile(residual)
    for n in range(3):
        x = chainrule.randn(5, 1).requires_grad_()
        model.zero_grad()
        loss, grads = residual(x)
        expected = [loss.item(), x.grad.tolist(), *(g.tolist() for g in grads)]
        model.zero_grad()
        x.grad = None
        loss, grads = step(x)
        assert [loss.item(), x.grad.tolist(), *(g.tolist() for g in grads)] == expected
        assert step.traces == 1, n


def test_modes_that_the_function_sets_are_set_at_every_call():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))

    @chainrule.compile
    def evaluate(x):
        model.eval()
        return model(x)

    x = chainrule.ones(1, 2)
    for _ in range(3):
        model.train()
        assert evaluate(x).equal(model[0](x))
        assert not model[1].training
    assert evaluate.traces == 1


def test_a_compiled_function_within_another_is_part_of_it():
    inner = chainrule.compile(lambda x: x * 2.0)
    outer = chainrule.compile(lambda x: inner(x) + 1.0)
    assert outer(chainrule.ones(2)).tolist() == [3, 3]
    assert (inner.traces, outer.traces) == (0, 1)


def test_a_function_that_changes_its_own_conditions_is_refused():
    model = nn.Linear(2, 2)

    def f(x):
        y = model(x)
        model.register_forward_hook(lambda *a: None)
        return y

    with pytest.raises(TraceError, match="_forward_hooks"):
        chainrule.compile(f)(chainrule.ones(1, 2))
