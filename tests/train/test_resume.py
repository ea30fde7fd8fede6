"""A fit that was stopped and taken up again ends with the same bits as one that was not."""

import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from train_cases import QuickDisk, bits, data, model, trainer

from chainrule import nn, optim
from chainrule.optim import lr_scheduler
from chainrule.train import Callback, Run, Trainer
from chainrule.train.files import writing

pytestmark = pytest.mark.usefixtures("both_ways")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leaves out what makes a disk slow, and is tested elsewhere."""
    monkeypatch.setattr(writing, "disk", QuickDisk())


EPOCHS, EPOCH, STEPS = 3, 3, 9  # 23 rows in batches of 4, two a step: 3 steps an epoch
FIT = {"validation": data(), "epochs": EPOCHS, "batch_size": 4}


@pytest.fixture(scope="module")
def undisturbed(both_ways):
    t = trainer()
    t.fit(data(), **FIT)
    return bits(t)


def steps(first):
    """Any step; those at which an epoch begins, is half done or ends are fast."""
    telling = {0, 1, EPOCH, EPOCH + 2, STEPS}
    return [
        pytest.param(at, marks=() if at in telling else pytest.mark.slow)
        for at in range(first, STEPS + 1)
    ]


class Interrupt(Callback):
    """Ctrl-C after a step, or while the validation runs."""

    def __init__(self, at, event="on_step_end"):
        self.at = at
        setattr(self, event, self.hit)

    def hit(self, t):
        if t.step == self.at:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("at", steps(1))
def test_interrupted_at_any_step(tmp_path, undisturbed, at):
    said = []
    run = Run.create("r", tmp_path, say=said.append)
    first = trainer(run=run)
    first.callbacks.append(Interrupt(at))
    first = trainer(run=run, callbacks=first.callbacks)
    history = first.fit(data(), **FIT)
    assert history.interrupted
    assert history.signal == "SIGINT"
    assert f"trainer.resume({str(run.path)!r})" in history.message
    assert said == [f"r-0001: stopped by SIGINT after step {at}; {history.message}"]
    again = trainer().resume(run)
    assert again.fit(data(), **FIT).stopped == "epochs"
    assert bits(again) == undisturbed
    assert [r["epoch"] for r in run.rows] == [1, 2, 3]


@pytest.mark.parametrize("at", steps(0))
def test_stopped_by_steps_at_any_step(tmp_path, undisturbed, at):
    run = Run.create("r", tmp_path)
    trainer(run=run).fit(data(), **{**FIT, "epochs": None, "steps": at})
    again = trainer()
    if at:
        again.resume(run.path)
    again.fit(data(), **FIT)
    assert bits(again) == undisturbed


OPTIMIZERS = [
    o for o in vars(optim).values()
    if isinstance(o, type) and issubclass(o, optim.Optimizer) and o is not optim.Optimizer
]  # fmt: skip
SCHEDULES = {
    "LambdaLR": lambda o: {"lr_lambda": lambda n: 0.9**n},
    "MultiplicativeLR": lambda o: {"lr_lambda": lambda n: 0.9},
    "StepLR": lambda o: {"step_size": 2},
    "MultiStepLR": lambda o: {"milestones": [2, 2, 5]},
    "ConstantLR": lambda o: {"total_iters": 3},
    "LinearLR": lambda o: {"total_iters": 6},
    "ExponentialLR": lambda o: {"gamma": 0.9},
    "PolynomialLR": lambda o: {"total_iters": 20},
    "CosineAnnealingLR": lambda o: {"T_max": 7},
    "CosineAnnealingWarmRestarts": lambda o: {"T_0": 4},
    "WarmupCosineLR": lambda o: {"warmup_steps": 3, "total_steps": 40},
    "OneCycleLR": lambda o: {"max_lr": 0.1, "total_steps": 40},
    "ReduceLROnPlateau": lambda o: {"patience": 0, "factor": 0.5, "threshold": 0.5},
    "SequentialLR": lambda o: {
        "schedulers": [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.9)],
        "milestones": [3],
    },
    "ChainedScheduler": lambda o: {
        "schedulers": [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.9)],
    },
}


def stopped_and_resumed(tmp_path, make, fit=FIT):
    """The bits of a fit in one go, and of one stopped at steps 2 and 5."""
    whole = make(run=None)
    whole.fit(data(), **fit)
    run = Run.create("r", tmp_path)
    make(run=run).fit(data(), **{**fit, "steps": 2})
    make(run=None).resume(run).fit(data(), **{**fit, "steps": 5})
    last = make(run=None).resume(run)
    last.fit(data(), **fit)
    return bits(whole), bits(last)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda k: k.__name__)
def test_every_optimizer_resumes(tmp_path, kind):
    def make(run):
        net = model()
        first, *rest = net.parameters()
        groups = [{"params": [first], "lr": 0.03}, {"params": rest, "weight_decay": 0.1}]
        return Trainer(net, nn.CrossEntropyLoss(), kind(groups, lr=0.01), seed=1, run=run)

    whole, resumed = stopped_and_resumed(tmp_path, make)
    assert whole == resumed


SCHEDULERS = [
    s for s in vars(lr_scheduler).values()
    if isinstance(s, type) and hasattr(s, "step") and s is not lr_scheduler.LRScheduler
]  # fmt: skip


BY_STEP = [(s, "step") for s in SCHEDULERS if s is not lr_scheduler.ReduceLROnPlateau]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "by"), [*((s, "epoch") for s in SCHEDULERS), *BY_STEP])
def test_every_schedule_resumes(tmp_path, kind, by):
    def make(run):
        net = model()
        optimizer = optim.SGD(net.parameters(), 0.1, momentum=0.9)
        arguments = SCHEDULES[kind.__name__](optimizer)
        if kind is not lr_scheduler.ChainedScheduler:
            arguments["optimizer"] = optimizer
        return Trainer(
            net, nn.CrossEntropyLoss(), optimizer, scheduler=kind(**arguments), schedule_by=by,
            seed=1, run=run,
        )  # fmt: skip

    whole, resumed = stopped_and_resumed(tmp_path, make)
    assert whole == resumed


@pytest.mark.slow
@settings(max_examples=10)
@given(st.integers(1, 30), st.integers(1, 4), st.booleans(), st.integers(1, 20))
def test_any_batch_size_resumes_anywhere(tmp_path_factory, batch_size, accumulate, shuffle, stop):
    fit = {"epochs": 3, "batch_size": batch_size, "shuffle": shuffle, "validation": data(5)}
    whole = trainer(accumulate=accumulate)
    whole.fit(data(), **fit)
    run = Run.create("r", tmp_path_factory.mktemp("runs"))
    trainer(accumulate=accumulate, run=run).fit(data(), **{**fit, "steps": stop})
    again = trainer(accumulate=accumulate).resume(run)
    again.fit(data(), **fit)
    assert bits(again) == bits(whole)
