"""A table's fit cut anywhere and gone on with: the same bits, in one process and after SIGKILL."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.errors import ArgumentError
from chainrule.runtime import pace
from chainrule.train import Run, list_runs
from chainrule.train.alike import compared
from chainrule.train.attempt import FitFailedError
from chainrule.train.interrupts import Interrupts
from chainrule.train.tabular import Recipe, TableFit, fitting, verify_table_resume
from chainrule.train.tabular.resuming import PARTS

rng = np.random.default_rng(5)
X = rng.normal(size=(90, 3)).astype(np.float32)
CLASSES = np.array(["u", "v", "w"])[(X[:, 0] > 0) * 1 + (X[:, 1] > 1)]
TABLES = {
    "classes": {"a": X[:, 0], "b": X[:, 1], "y": CLASSES},
    "amounts": {"a": X[:, 0], "b": X[:, 1], "y": 50 + 3 * X[:, 0] + X[:, 2]},
}  # fmt: skip
TABLES["by a metric"] = TABLES["classes"]
FOLDS = {"classes": 2, "amounts": 1, "by a metric": 2}
STEPS = 15
"""Of three epochs with 5 steps (90 rows, a fifth held out of one network, half of each of two)."""


def fit(kind="classes", **more):
    size = {"classes": 9, "amounts": 14, "by a metric": 9}[kind]
    metric = "roc_auc" if kind == "by a metric" else None
    recipe = Recipe(hidden=(8,), batch_size=size, epochs=3, metric=metric, **more)
    return TableFit(TABLES[kind], "y", recipe=recipe, folds=FOLDS[kind])


def whole_of(kind, folder):
    run = Run.create("whole", folder)
    fit(kind).run(run)
    return run


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {kind: whole_of(kind, folder) for kind in TABLES}


def odd(one, other):
    return {p.name: p.first for p in compared(one, other, PARTS) if p.differ}


def test_every_part_of_the_state_is_compared():
    state, held = fit().state_dict(), [key for keys in PARTS.values() for key in keys]
    assert sorted({*held, "kind", "seconds", "data"}) == sorted(state)
    assert len(held) == len(set(held))


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(TABLES)), st.lists(st.integers(1, 8), min_size=1, max_size=15))
def test_stretches_of_any_length_are_the_epochs(kind, lengths):
    whole, cut = fit(kind), fit(kind)
    whole.members.run(3)
    while cut.members.epoch < 3:
        cut.members.advance(lengths[0])
        lengths = [*lengths[1:], lengths[0]]
    a, b = whole.state_dict(), cut.state_dict()
    assert a["losses"] is b["losses"] is None
    for x, y in zip(a["model"].values(), b["model"].values(), strict=True):
        assert np.array_equal(x.numpy(), y.numpy())
    assert whole.members.history == cut.members.history


@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES)
def test_a_fit_cut_at_any_step_goes_on_with_the_same_bits(wholes, kind, tmp_path):
    for step in range(1, STEPS):
        run = Run.create(f"cut{step}", tmp_path)
        fit(kind).run(run, steps=step)
        assert run.result["stopped"] == "steps"
        assert run.checkpoints.load().state["step"] == step
        rest = fit(kind)
        rest.resume(run)
        rest.run(run)
        assert odd(wholes[kind], run) == {}
        assert rest.stopped == "epochs"


@pytest.mark.parametrize("kind", TABLES)
def test_a_signal_ends_a_fit_within_an_epoch_and_it_goes_on_with_the_same_bits(
    wholes, kind, tmp_path, monkeypatch
):
    class Signals(Interrupts):
        """A signal that comes after some looks for one."""

        def __init__(self, looks):
            super().__init__()
            self.looks = looks

        @property
        def asked(self):
            self.looks -= 1
            return "SIGTERM" if self.looks < 0 else None

        @asked.setter
        def asked(self, value):
            pass

    for name in ("TURN_SECONDS", "TRIAL_SECONDS"):  # a step a turn
        monkeypatch.setattr(pace, name, 0.0)
    reached = set()
    for looks in (2, 3, 5, 9):
        run = Run.create("cut", tmp_path)
        made = fit(kind)
        with monkeypatch.context() as m:
            m.setattr(fitting, "Interrupts", partial(Signals, looks))
            made.run(run)
        assert (made.stopped, made.signal) == ("interrupted", "SIGTERM")
        reached.add(made.members.steps)
        rest = fit(kind)
        rest.resume(run)
        assert rest.members.steps == made.members.steps
        rest.run(run)
        assert odd(wholes[kind], run) == {}
    assert len(reached) == 4
    assert any(step % 5 for step in reached)


def test_a_part_of_an_epoch_has_a_row_and_no_place_in_the_checkpoint(tmp_path):
    run, told = Run.create("r", tmp_path), []
    made = fit()
    made.run(run, steps=7, on_steps=told.append, every_steps=3)
    assert told == [range(1, 4), range(4, 6), range(6, 7), range(7, 8)]
    assert [(r["epoch"], r["step"]) for r in made.rows] == [(1, 5), (2, 7)]
    assert run.rows == made.rows
    assert run.checkpoints.load().state["rows"] == made.rows[:1]


@pytest.mark.slow
def test_checkpoints_by_steps_and_the_best_that_stays(wholes, tmp_path):
    run = Run.create("r", tmp_path, checkpoint_steps=2, checkpoint_seconds=1e9, keep=99)
    made = fit()
    made.run(run)
    held = {s["step"]: s for p in run.checkpoints.manifests() if (s := run.checkpoints.read(p))}
    assert sorted(held) == [2, 4, 6, 8, 10, 12, 14, 15]
    assert {step: s["made"] for step, s in held.items()} == {s: s % 5 for s in held}
    assert odd(wholes["classes"], run) == {}
    few = Run.create("few", tmp_path, checkpoint_seconds=0, keep=1)
    made = fit(lr=30.0)  # it gets worse after the first epoch
    made.run(few)
    scores = [row["val_accuracy"] for row in made.rows]
    best = scores.index(max(scores)) + 1
    epochs = [few.checkpoints.read(p)["epoch"] for p in few.checkpoints.manifests()]
    assert epochs == sorted({best, 3}, reverse=True)


def test_a_reason_to_stop_is_kept():
    made = fit()
    made.run(on_steps=lambda steps: made.stop("enough"), every_steps=2)
    assert (made.stopped, made.members.steps) == ("enough", 2)
    made = fit()
    made.run(on_epoch=lambda row: made.stop("enough"))
    assert (made.stopped, len(made.rows)) == ("enough", 1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TABLES)
def test_a_killed_fit_is_exact(kind, tmp_path):
    found = verify_table_resume(lambda: fit(kind, patience=1), epochs=3, kills=4, folder=tmp_path)
    assert found.exact, str(found)
    assert (found.steps, found.epochs, len(found.kills)) == (STEPS, 3, 4)
    assert [p.name for p in found.parts if not p.values] == []
    assert {k.doing == "training" for k in found.kills} == {True, False}
    assert {r.name for r in list_runs(tmp_path)} == {"whole-0001", "killed-0001"}


@pytest.mark.slow
def test_without_a_length_it_lasts_as_long_as_the_fit_or_a_second():
    found = verify_table_resume(lambda: fit(patience=50), kills=1)
    assert found.exact
    assert found.steps == STEPS


class Forgetful(TableFit):
    """Forgets AdamW's moments."""

    def load_state_dict(self, state):
        super().load_state_dict(state)
        for pair in self.members.moments:
            for a in pair:
                a._value[...] = 0


@pytest.mark.slow
def test_what_does_not_resume_is_found():
    recipe = Recipe(hidden=(8,), batch_size=9)
    found = verify_table_resume(
        lambda: Forgetful(TABLES["classes"], "y", recipe=recipe), steps=8, kills=2
    )
    assert not found.exact
    assert found.repeats
    assert "optimizer" in found.verdict


def test_what_is_no_new_fit_is_refused():
    with pytest.raises(FitFailedError, match="must give a new TableFit"):
        verify_table_resume(lambda: 3, steps=4)
    made = fit()
    made.members.advance(1)
    with pytest.raises(FitFailedError, match=r"must give a new TableFit.*step 1"):
        verify_table_resume(lambda: made, steps=4)
    with pytest.raises(ArgumentError, match="kills must be a whole number"):
        verify_table_resume(fit, kills=0)
