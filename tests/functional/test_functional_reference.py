"""Every function against frozen results of PyTorch: values, gradients, second derivatives."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from functional_cases import CASES

import chainrule
from chainrule import functional as F
from frozen import Case, Frozen, compare_frozen, in_its_types

FROZEN = Frozen(Path(__file__).parent / "reference.npz")
INDEXING = {"basic", "places", "row_index"}  # how x[...] is read; tested through Tensor
FUNCTIONS = [
    name
    for name, f in vars(F).items()
    if callable(f) and not inspect.isclass(f) and name not in INDEXING
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_a_reference(name):
    assert any(c.name.split(":")[0] == name for c in CASES), (
        f"{name} is not compared with PyTorch: add it to functional_cases.py, run make_reference.py"
    )


@pytest.mark.parametrize(("case", "dtype"), in_its_types(CASES))
def test_as_pytorch(case: Case, dtype: str):
    compare_frozen(chainrule, case, FROZEN, dtype)
