"""Every layer, activation and loss against frozen results of PyTorch."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from module_cases import CLIPS, PRINTS, STATES
from nn_cases import CASES

import chainrule
from chainrule import nn
from frozen import Case, Frozen, about, by_name, compare_frozen, in_its_types

FROZEN = Frozen(Path(__file__).parent / "reference.npz")
CLASSES = [name for name, c in vars(nn).items() if inspect.isclass(c) and issubclass(c, nn.Module)]


def test_every_class_has_a_reference():
    missing = {f"nn.{name}" for name in CLASSES} - set(by_name(CASES))
    assert not missing, "not compared with PyTorch: add to nn_cases.py, run make_reference.py"


@pytest.mark.parametrize(("cases", "dtype"), in_its_types(CASES + CLIPS))
def test_as_pytorch(cases: list[Case], dtype: str):
    for case in cases:
        with about(case.name):
            compare_frozen(chainrule, case, FROZEN, dtype)


@pytest.mark.parametrize("name", PRINTS)
def test_prints_as_pytorch(name):
    assert repr(PRINTS[name](chainrule)) == FROZEN.notes["prints"][name]


@pytest.mark.parametrize("name", STATES)
def test_state_dict_has_pytorchs_names_and_shapes(name):
    state = STATES[name](chainrule).state_dict()
    assert [[k, list(v.shape)] for k, v in state.items()] == FROZEN.notes["states"][name]
