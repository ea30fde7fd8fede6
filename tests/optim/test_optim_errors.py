"""What is refused, in which words; and that nothing has changed after it."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optim_cases import public

import chainrule
from chainrule import optim
from chainrule.errors import ChainruleError
from chainrule.optim import Optimizer
from chainrule.optim import lr_scheduler as s

KINDS = public(optim, Optimizer)
RATES = [-1, -1e-9, math.nan, math.inf, -math.inf, np.float64("nan")]
NOT_NUMBERS = ["0.1", True, None, [0.1], 1j, chainrule.zeros(30, 30)]


def weights(*shapes):
    made = [chainrule.ones(*shape).requires_grad_() for shape in shapes]
    for w in made:
        w.grad = chainrule.ones_like(w)
    return made


def check(call, kind, *words):
    """Raises `kind` and one of ours, in at most six lines, with these words."""
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, ChainruleError)
    text = str(caught.value)
    assert len(text.splitlines()) <= 6, text
    for word in words:
        assert str(word) in text, text


def snapshot(opt):
    """Values, settings and state, to see that they have not changed."""
    values = [(p, p.tolist()) for g in opt.param_groups for p in g["params"]]
    state = {
        p: {k: v.tolist() if hasattr(v, "tolist") else v for k, v in held.items()}
        for p, held in opt.state.items()
    }
    settings = [{k: v for k, v in g.items() if k != "params"} for g in opt.param_groups]
    return copy.deepcopy(([v for _, v in values], list(state.values()), settings))


def make(kind, **settings):
    return getattr(optim, kind)(weights((2,)), **settings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lr", RATES)
def test_a_rate_out_of_range(kind, lr):
    check(lambda: make(kind, lr=lr), ValueError, f"'lr' parameter of {kind}", "[0.0, inf)", lr)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lr", NOT_NUMBERS, ids=lambda v: type(v).__name__)
def test_a_rate_that_is_no_number(kind, lr):
    named = (type(lr).__name__, repr(lr)) if type(lr) is str else (type(lr).__name__,)
    check(lambda: make(kind, lr=lr), TypeError, "'lr'", kind, "must be a number", *named)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lr", [math.nan, math.inf, "0.1", True, None], ids=str)
def test_a_rate_that_goes_wrong_between_steps(kind, lr):
    opt = make(kind, lr=0.1)
    opt.step()
    before = snapshot(opt)
    opt.param_groups[0]["lr"] = lr
    check(opt.step, (TypeError, ValueError), "'lr'", kind)
    opt.param_groups[0]["lr"] = 0.1
    assert snapshot(opt) == before


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_among_the_settings_is_checked(kind):
    for name, value in make(kind).defaults.items():
        if type(value) in (int, float):
            check(lambda name=name: make(kind, **{name: math.nan}), ValueError, name, kind, "nan")
            check(lambda name=name: make(kind, **{name: "x"}), TypeError, name, kind, "str 'x'")


@given(st.floats(min_value=0, max_value=1e30), st.floats(max_value=-1e-300))
def test_the_range_of_a_rate(good, bad):
    for kind in KINDS:
        assert make(kind, lr=good).param_groups[0]["lr"] == good
        with pytest.raises(ValueError):
            make(kind, lr=bad)


@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
@pytest.mark.parametrize(
    ("betas", "index", "value"),
    [((1.0, 0.9), 0, 1.0), ((0.9, 1.0), 1, 1.0), ((-0.1, 0.9), 0, -0.1),
     ((0.9, math.nan), 1, "nan"), ((True, 0.9), 0, True), (("0.9", 0.9), 0, "0.9")],
)  # fmt: skip
def test_betas_out_of_range(kind, betas, index, value):
    words = f"Invalid beta parameter at index {index}: {value}"
    check(lambda: make(kind, betas=betas), ValueError, words, "[0, 1)")


def test_betas_that_are_not_two():
    check(lambda: make("Adam", betas=0.9), ValueError, "two numbers", "0.9")
    check(lambda: make("Adam", betas=(0.9,)), ValueError, "two numbers")


def test_nesterov_needs_momentum():
    for settings in ({}, {"momentum": 0.9, "dampening": 0.1}):
        check(lambda more=settings: make("SGD", nesterov=True, **more), ValueError, "Nesterov")


@pytest.mark.parametrize("kind", KINDS)
def test_parameter_lists(kind):
    build = getattr(optim, kind)
    a, b = weights((2,), (2,))
    used_up = iter([a])
    list(used_up)
    for empty in ([], used_up):
        check(lambda e=empty: build(e), ValueError, "empty parameter list", "ModuleList")
    check(lambda: build(a), TypeError, "iterable of Tensors", "[tensor]")
    check(lambda: build({a, b}), TypeError, "ordered")
    check(lambda: build(3), TypeError, "iterable of Tensors", "int 3")
    check(lambda: build([a, 3]), TypeError, "can only optimize Tensors", "int 3 at place 1")
    check(lambda: build([a, b, a]), ValueError, "more than one parameter group", "place 2", (2,))
    check(lambda: build([{"params": [a]}, {"params": [a]}]), ValueError, "more than one")
    check(lambda: build([a * 2]), ValueError, "non-leaf", "mul", ".detach()")
    check(lambda: build([{"params": [a], "lrr": 1}]), ValueError, "'lrr'", "lr, ")
    check(lambda: build([{"params": []}]), ValueError, "empty parameter list")
    check(lambda: build([{"param": [a]}]), TypeError, "'params'")
    check(lambda: build([("a", a), b]), ValueError, "1 names for 2 parameters")


@pytest.mark.parametrize("group", [{"params": []}, {"params": [1]}, {"lr": 1}, 3, {"params": "ab"}])
def test_a_refused_group_changes_nothing(group):
    opt = make("Adam")
    before = snapshot(opt)
    check(lambda: opt.add_param_group(group), (TypeError, ValueError))
    (w,) = weights((2,))
    check(lambda: opt.add_param_group({"params": [("w", w)], "lr": -1}), ValueError, "-1")
    assert snapshot(opt) == before
    assert "param_names" not in opt.state_dict()["param_groups"][0]


def named(*names):
    return zip(names, weights(*[(i + 1,) for i in range(len(names))]), strict=True)


def stepped(params, kind="Adam", **settings):
    opt = getattr(optim, kind)(params, **settings)
    opt.step()
    return opt


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: stepped(named("a", "b", "c")), ("2 parameters", "3 parameters", "'c'")),
        (lambda: stepped(named("a", "z")), ("'z'", "a, b")),
        (lambda: stepped(weights((1,), (3,))), ("exp_avg of b", "(2,)", "(3,)")),
        (lambda: stepped([{"params": [w]} for w in weights((1,), (2,))]), ("groups", 1, 2)),
        (lambda: stepped(weights((1,), (2,)), "SGD"), ("'betas'", "Adam")),
        (lambda: stepped(weights((1,), (2,)), "RMSprop"), ("'betas'", "Adam")),
    ],
)
def test_the_state_of_another_model(other, words):
    opt = stepped(named("a", "b"))
    before = snapshot(opt)
    state = other().state_dict()
    check(lambda: opt.load_state_dict(state), ValueError, *words)
    assert snapshot(opt) == before
    opt.step()


def test_a_state_that_is_none():
    opt = stepped(weights((1,), (2,)))
    good = opt.state_dict()
    before = snapshot(opt)
    for bad in (None, {}, [], {"state": {}}, "state"):
        check(lambda b=bad: opt.load_state_dict(b), ValueError, "not the state of an optimizer")
    lost = {**good, "state": {7: good["state"][0]}}
    check(lambda: opt.load_state_dict(lost), ValueError, "in no group", "[0, 1]", 7)
    wrong = {**good, "param_groups": [{**good["param_groups"][0], "lr": math.nan}]}
    check(lambda: opt.load_state_dict(wrong), ValueError, "'lr'", "nan")
    decoupled = {**good["param_groups"][0], "decoupled_weight_decay": True}
    bad = {**good, "param_groups": [decoupled]}
    check(lambda: opt.load_state_dict(bad), ValueError, "AdamW")
    assert snapshot(opt) == before


def test_a_rate_that_a_schedule_took_below_0_is_loaded_again():
    opt = stepped(weights((1,), (2,)))
    opt.param_groups[0]["lr"] = -0.01
    opt.step()
    other = stepped(weights((1,), (2,)))
    other.load_state_dict(opt.state_dict())
    assert other.param_groups[0]["lr"] == -0.01
    other.step()


def test_a_parameter_that_changed_its_shape():
    (w,) = weights((2,))
    opt = stepped([w])
    w.grad = None
    w.data = chainrule.ones(3)
    w.grad = chainrule.ones(3)
    check(opt.step, ValueError, "shape", (2,), (3,), "state.pop")


# ---------------------------------------------------------------- schedules


def sgd(**settings):
    return optim.SGD(weights((2,)), lr=0.1, **settings)


@pytest.mark.parametrize("value", [0, -1, 2.5, "2", True, None])
def test_counts_of_schedules(value):
    for owner, name, build in (
        ("StepLR", "step_size", lambda o: s.StepLR(o, value)),
        ("ConstantLR", "total_iters", lambda o: s.ConstantLR(o, total_iters=value)),
        ("LinearLR", "total_iters", lambda o: s.LinearLR(o, total_iters=value)),
        ("PolynomialLR", "total_iters", lambda o: s.PolynomialLR(o, total_iters=value)),
        ("CosineAnnealingWarmRestarts", "T_0", lambda o: s.CosineAnnealingWarmRestarts(o, value)),
        ("WarmupCosineLR", "total_steps", lambda o: s.WarmupCosineLR(o, 0, value)),
        ("OneCycleLR", "epochs", lambda o: s.OneCycleLR(o, 1.0, epochs=value, steps_per_epoch=2)),
        ("OneCycleLR", "steps_per_epoch",
         lambda o: s.OneCycleLR(o, 1.0, epochs=2, steps_per_epoch=value)),
    ):  # fmt: skip
        if value is None and owner == "OneCycleLR":
            continue
        opt = sgd(momentum=0.9)
        before = snapshot(opt)
        words = (f"The '{name}' parameter of {owner}", "[1, inf)", type(value).__name__)
        check(lambda build=build, opt=opt: build(opt), ValueError, *words)
        assert snapshot(opt) == before


@pytest.mark.parametrize(
    ("build", "kind", "words"),
    [
        (lambda o: s.StepLR(o, 2, gamma="x"), TypeError, ("gamma", "str 'x'")),
        (lambda o: s.ExponentialLR(o, math.nan), ValueError, ("gamma", "nan")),
        (lambda o: s.MultiStepLR(o, [3, -1]), ValueError, ("milestones", -1)),
        (lambda o: s.ConstantLR(o, 0.0), ValueError, ("factor", "(0.0, 1.0]")),
        (lambda o: s.ConstantLR(o, 1.5), ValueError, ("factor", 1.5)),
        (lambda o: s.LinearLR(o, 0), ValueError, ("start_factor", "(0.0, 1.0]")),
        (lambda o: s.LinearLR(o, 0.5, 2.0), ValueError, ("end_factor", 2.0)),
        (lambda o: s.CosineAnnealingLR(o, 0), ValueError, ("T_max", 0)),
        (lambda o: s.CosineAnnealingWarmRestarts(o, 2, T_mult=0), ValueError, ("T_mult", 0)),
        (lambda o: s.WarmupCosineLR(o, 5, 5), ValueError, ("total_steps > 5", "5")),
        (lambda o: s.LambdaLR(o, [len, len]), ValueError, ("Expected 1 lr_lambdas", "got 2")),
        (lambda o: s.LambdaLR(o, 0.5), TypeError, ("lr_lambda should be a function", "float 0.5")),
        (lambda o: s.MultiplicativeLR(o, 0.5), TypeError, ("MultiplicativeLR", "function")),
        (lambda o: s.OneCycleLR(o, 1.0), ValueError, ("total_steps OR (epochs AND",)),
        (lambda o: s.OneCycleLR(o, 1.0, 9, pct_start=1.5), ValueError, ("pct_start", 1.5)),
        (lambda o: s.OneCycleLR(o, [1.0, 2.0], 9), ValueError, ("max_lr", "1 values", "2 values")),
        (lambda o: s.OneCycleLR(o, 1.0, 9, anneal_strategy="sin"), ValueError, ("'sin'", "'cos'")),
        (lambda o: s.OneCycleLR(o, 1.0, 9, max_momentum=1.0), ValueError, ("max_momentum", 1.0)),
        (lambda o: s.ReduceLROnPlateau(o, factor=1.0), ValueError, ("factor", "[0.0, 1.0)")),
        (lambda o: s.ReduceLROnPlateau(o, "less"), ValueError, ("mode 'less'", "min or max")),
        (lambda o: s.ReduceLROnPlateau(o, threshold_mode="x"), ValueError, ("'x'", "rel or abs")),
        (lambda o: s.ReduceLROnPlateau(o, min_lr=[0, 0]), ValueError, ("min_lr", "2 values")),
        (lambda o: s.SequentialLR(o, [], []), ValueError, ("at least one",)),
        (lambda o: s.SequentialLR(o, [s.StepLR(o, 1)], [3]), ValueError, ("0 milestones", "1 mil")),
        (lambda o: s.SequentialLR(o, [s.StepLR(o, 1)] * 3, [3, 2]), ValueError, ("rise", "[3, 2]")),
        (lambda o: s.SequentialLR(o, [s.StepLR(sgd(), 1)], []), ValueError, ("same optimizer",)),
        (lambda o: s.SequentialLR(o, [s.StepLR(o, 1), s.ChainedScheduler([s.StepLR(o, 1)])], [2]),
         ValueError, ("can only come first", "index 1")),
        (lambda o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), ValueError, ("metric", "index 0")),
        (lambda o: s.ChainedScheduler([3]), TypeError, ("not a scheduler", "int 3")),
        (lambda o: s.ChainedScheduler([]), ValueError, ("at least one",)),
        (lambda o: s.StepLR(o, 1, last_epoch=3), KeyError, ("initial_lr", "last_epoch=3")),
        (lambda o: s.ReduceLROnPlateau(o).step(), TypeError, ("metric", "validation_loss")),
        (lambda o: s.ReduceLROnPlateau(o).step("low"), TypeError, ("metric", "str 'low'")),
    ],
)  # fmt: skip
def test_arguments_of_schedules(build, kind, words):
    check(lambda: build(sgd(momentum=0.9)), kind, *words)


OWN = [
    name for name in public(s, s.LRScheduler) if name != "ChainedScheduler"
]  # takes its parts' own


@pytest.mark.parametrize("name", OWN)
def test_a_schedule_needs_an_optimizer(name):
    arguments = {
        "StepLR": (1,), "MultiStepLR": ([1],), "ExponentialLR": (0.5,), "LambdaLR": (len,),
        "MultiplicativeLR": (len,), "CosineAnnealingLR": (1,), "CosineAnnealingWarmRestarts": (1,),
        "WarmupCosineLR": (1, 2), "OneCycleLR": (1.0, 5), "SequentialLR": ([], []),
    }  # fmt: skip
    kind = ValueError if name == "SequentialLR" else TypeError
    check(lambda: getattr(s, name)(3, *arguments.get(name, ())), kind)


def test_momentum_can_be_cycled_only_where_there_is_one():
    opt = optim.Adagrad(weights((2,)))
    before = snapshot(opt)
    check(lambda: s.OneCycleLR(opt, 1.0, 9), ValueError, "momentum", "cycle_momentum=False")
    assert snapshot(opt) == before


def test_one_cycle_past_its_end():
    opt = sgd(momentum=0.9)
    scheduler = s.OneCycleLR(opt, 1.0, total_steps=3)
    for _ in range(3):
        scheduler.step()
    before = snapshot(opt), scheduler.state_dict()
    words = ("Tried to step 4 times", "total steps is 3", "batch", "epoch", "steps_per_epoch=")
    for _ in range(2):
        check(scheduler.step, ValueError, *words)
    assert (snapshot(opt), scheduler.state_dict()) == before


@pytest.mark.parametrize("pct", [0.0, 0.1, 0.2, 1.0])
@pytest.mark.parametrize("three", [False, True])
def test_one_cycle_with_phases_of_no_length(pct, three):
    """PyTorch divides by zero where pct_start total_steps is 1."""
    scheduler = s.OneCycleLR(sgd(momentum=0.9), 1.0, 10, pct_start=pct, three_phase=three)
    for _ in range(10):
        assert math.isfinite(scheduler.get_last_lr()[0])
        scheduler.step()


def test_a_lambda_that_fails_changes_nothing():
    opt = sgd()
    scheduler = s.LambdaLR(opt, lambda t: 1 / (2 - t))
    scheduler.step()
    before = snapshot(opt), scheduler.state_dict()
    with pytest.raises(ZeroDivisionError):
        scheduler.step()
    assert (snapshot(opt), scheduler.state_dict()) == before


def test_a_group_added_after_the_schedule():
    opt = sgd()
    made = [s.StepLR(opt, 1), s.CosineAnnealingWarmRestarts(opt, 3)]
    watch = s.ReduceLROnPlateau(opt, patience=0)
    strict = s.ReduceLROnPlateau(opt, min_lr=[0.0])
    opt.add_param_group({"params": weights((3,))})
    for scheduler in made:
        before = scheduler.state_dict()
        check(scheduler.step, ValueError, "1 groups", "2 groups", "add_param_group")
        assert scheduler.state_dict() == before
    check(lambda: strict.step(1.0), ValueError, "1 groups", "2 groups")
    for loss in (1.0, 2.0):
        watch.step(loss)
    assert [g["lr"] for g in opt.param_groups] == pytest.approx([0.01, 0.01])


class Fade:
    """A callable object, whose attributes are its state."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, t):
        return self.rate**t


def test_attributes_of_a_callable_object_are_saved():
    first, second = s.LambdaLR(sgd(), Fade(0.5)), s.LambdaLR(sgd(), Fade(0.9))
    assert first.state_dict()["lr_lambdas"] == [{"rate": 0.5}]
    second.load_state_dict(first.state_dict())
    second.step()
    assert second.get_last_lr() == [0.05]
    assert s.LambdaLR(sgd(), len_of_one).state_dict()["lr_lambdas"] == [None]


def len_of_one(t):
    return 1


def test_the_state_of_another_schedule():
    opt = sgd(momentum=0.9)
    chain = s.ChainedScheduler([s.StepLR(opt, 2), s.ExponentialLR(opt, 0.9)])
    two = optim.SGD([{"params": [w]} for w in weights((1,), (2,))], lr=0.1)
    for scheduler, state, words in (
        (s.StepLR(opt, 2), s.ExponentialLR(opt, 0.5).state_dict(), ("StepLR", "'step_size'")),
        (s.ExponentialLR(opt, 0.5), s.StepLR(opt, 2).state_dict(), ("'step_size'", "gamma")),
        (s.StepLR(opt, 2), s.StepLR(two, 2).state_dict(), ("parameter groups", 1, 2)),
        (chain, s.ChainedScheduler([s.StepLR(opt, 2)]).state_dict(), ("schedulers", 1, 2)),
        (chain, s.StepLR(opt, 2).state_dict(), ("schedulers", 0, 2)),
        (chain, s.ChainedScheduler([s.StepLR(opt, 9)] * 2).state_dict(), ("ExponentialLR",)),
    ):
        before = scheduler.state_dict()
        load = lambda a=scheduler, b=state: a.load_state_dict(b)  # noqa: E731
        check(load, ValueError, *words)
        assert scheduler.state_dict() == before


def test_warm_up_and_cosine_stays_at_the_bottom():
    scheduler = s.WarmupCosineLR(sgd(), 2, 5, eta_min=0.001)
    for _ in range(9):
        scheduler.step()
    assert scheduler.get_last_lr() == [0.001]


def test_resuming_with_last_epoch():
    opt = sgd()
    s.ExponentialLR(opt, 0.5).step()
    assert opt.param_groups[0]["lr"] == 0.05
    again = s.ExponentialLR(opt, 0.5, last_epoch=1)
    assert (again.last_epoch, again.base_lrs, opt.param_groups[0]["lr"]) == (2, [0.1], 0.05)


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        ("ab", "ac", "3 parameters|2 parameters, the first that differs is 'c'"),
        ("ab", "abc", "3 parameters, the first that differs is 'c'"),
        ("abc", "ab", "2 parameters, the first that differs is 'c'"),
    ],
)
def test_the_first_name_that_differs_is_told(mine, theirs, said):
    opt, other = stepped(list(named(*theirs))), optim.Adam(list(named(*mine)))
    before = snapshot(other)
    with pytest.raises(ValueError, match=said) as caught:
        other.load_state_dict(opt.state_dict())
    assert caught.value.expected.startswith(f"{len(mine)} parameters")
    assert caught.value.fix
    assert snapshot(other) == before
