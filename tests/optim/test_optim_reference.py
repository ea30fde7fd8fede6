"""Every optimizer and every schedule against frozen results of PyTorch, step by step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from optim_cases import (
    MIDDLE,
    RUNS,
    SCHEDULES,
    START,
    STEPS,
    array_of,
    entries,
    follow,
    optimizer_of,
    parameters,
    public,
    row_of,
    scheduled,
    sequence_of,
    train,
    unflat,
)

import chainrule
from chainrule.optim import Optimizer, lr_scheduler
from frozen import Frozen

FROZEN = Frozen(Path(__file__).parent / "reference.npz")
by_name = {"ids": lambda case: case.name}


@pytest.mark.parametrize("name", public(chainrule.optim, Optimizer))
def test_every_optimizer_has_a_reference(name):
    runs = [run for run in RUNS if run.kind == name]
    assert runs, f"{name} is not compared with PyTorch: see optim_cases.py, make_reference.py"
    assert any(run.settings.get("maximize") for run in runs), name
    assert any(run.second for run in runs), name


@pytest.mark.parametrize("name", public(lr_scheduler, lr_scheduler.LRScheduler))
def test_every_schedule_has_a_reference(name):
    assert any(case.of == name for case in SCHEDULES), (
        f"{name} is not compared with PyTorch: see optim_cases.py, make_reference.py"
    )


@pytest.mark.parametrize("run", RUNS, **by_name)
def test_trajectory_as_pytorch(run):
    p = parameters(chainrule)
    rows = train(chainrule, run, optimizer_of(chainrule, run, p), p, range(1, STEPS + 1))
    wanted = FROZEN[run.name]["values"]
    assert wanted.shape == (STEPS, sum(v.size for v in START.values()))
    np.testing.assert_allclose(rows, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("run", RUNS, **by_name)
def test_goes_on_from_the_state_that_pytorch_saved(run):
    held = FROZEN[run.name]
    p = parameters(chainrule, unflat(held["values"][MIDDLE - 1]))
    opt = optimizer_of(chainrule, run, p)
    state: dict[int, dict[str, object]] = {}
    for key, value in held.items():
        if key.startswith("state/"):
            _, number, slot = key.split("/")
            state.setdefault(int(number), {})[slot] = value
    groups = FROZEN.notes["param_groups"][run.name]
    opt.load_state_dict({"state": state, "param_groups": groups})
    rows = train(chainrule, run, opt, p, range(MIDDLE + 1, STEPS + 1))
    np.testing.assert_allclose(rows, held["values"][MIDDLE:], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("run", RUNS, **by_name)
def test_state_has_pytorchs_names_and_values(run):
    p = parameters(chainrule)
    opt = optimizer_of(chainrule, run, p)
    train(chainrule, run, opt, p, range(1, MIDDLE + 1))
    saved = opt.state_dict()
    found = {
        f"state/{n}/{key}": array_of(v) for n, s in saved["state"].items() for key, v in s.items()
    }
    wanted = {k: v for k, v in FROZEN[run.name].items() if k.startswith("state/")}
    # PyTorch's Adagrad lists a parameter before its first update too, with step 0
    idle = {k.rpartition("/")[0] for k, v in wanted.items() if k.endswith("/step") and not v}
    assert set(found) == {k for k in wanted if k.rpartition("/")[0] not in idle}
    for key, value in found.items():
        np.testing.assert_allclose(value, wanted[key], rtol=1e-12, atol=1e-15, err_msg=key)
    for mine, theirs in zip(
        saved["param_groups"], FROZEN.notes["param_groups"][run.name], strict=True
    ):
        assert {k: theirs[k] for k in mine} == json.loads(json.dumps(mine))


@pytest.mark.parametrize("case", SCHEDULES, **by_name)
def test_sequence_as_pytorch(case):
    np.testing.assert_allclose(
        sequence_of(chainrule, case), FROZEN[case.name]["rates"], rtol=1e-13, atol=1e-17
    )


SAVED = [c for c in SCHEDULES if "by hand" not in c.name]


@pytest.mark.parametrize("case", SAVED, **by_name)
def test_a_schedule_goes_on_from_its_state(case):
    """Saved as JSON in the middle, and loaded into a fresh one: the same numbers to the end."""
    middle = case.steps // 2
    opt, scheduler = scheduled(chainrule, case)
    follow(case, opt, scheduler, range(1, middle + 1))
    text = json.dumps([opt.state_dict()["param_groups"], scheduler.state_dict()], allow_nan=False)
    groups, state = json.loads(text)
    again, fresh = scheduled(chainrule, case)
    again.load_state_dict({"state": {}, "param_groups": groups})
    fresh.load_state_dict(state)
    assert row_of(again, fresh) == row_of(opt, scheduler)
    rest = range(middle + 1, case.steps + 1)
    assert follow(case, again, fresh, rest) == follow(case, opt, scheduler, rest)


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, on the order of steps
def test_the_frozen_numbers_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    found, notes = entries(torch)
    assert json.loads(json.dumps(notes["param_groups"])) == FROZEN.notes["param_groups"]
    for name, arrays in found.items():
        held = FROZEN[name]
        assert set(held) == set(arrays), name
        for key, value in arrays.items():
            np.testing.assert_allclose(value, held[key], rtol=1e-12, atol=1e-15, err_msg=name)
