"""Every function against frozen results of PyTorch: values, gradients, second derivatives."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from functional_cases import CASES

import chainrule
from chainrule import functional as F
from frozen import Case, Frozen, about, by_name, compare_frozen, in_its_types

FROZEN = Frozen(Path(__file__).parent / "reference.npz")
INDEXING = {"basic", "places", "row_index"}  # how x[...] is read; tested through Tensor
FUNCTIONS = [
    name
    for name, f in vars(F).items()
    if callable(f) and not inspect.isclass(f) and name not in INDEXING
]


def test_every_function_has_a_reference():
    missing = set(FUNCTIONS) - set(by_name(CASES))
    assert not missing, "not compared with PyTorch: add to functional_cases.py, run make_reference"


@pytest.mark.parametrize(("cases", "dtype"), in_its_types(CASES))
def test_as_pytorch(cases: list[Case], dtype: str):
    for case in cases:
        with about(case.name):
            compare_frozen(chainrule, case, FROZEN, dtype)
