"""Imports point one way (see CONTRIBUTING.md): lower layers never know higher ones."""

from __future__ import annotations

from pathlib import Path

import pytest

import chainrule
from sources import facts_of

ROOT = Path(chainrule.__file__).parent

LAYERS = [
    {"errors", "dtypes", "version", "markup"},
    {"ops"},
    {"functional"},
    {"graph"},
    {"grad"},
    {"runtime"},
    {"compiler"},
    {"tensor"},
    {"autograd", "jit"},
    {"nn", "optim", "check"},
    {"data", "utils", "train", "parallel", "schemas"},
    {"derivation", "diagnosis", "report"},
    {"playground"},
    {"export"},
    {"sklearn", "onnx", "cli", "__main__"},
]
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}
BLIND = [("compiler", "tensor"), ("tensor", "compiler")]


def unit_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = sorted(ROOT.rglob("*.py"))
UNITS = sorted({unit_of(path) for path in FILES} - {"__init__"})


def imported_units(path: Path) -> set[tuple[str, int]]:
    """Every part of the package that a file imports, inside functions too, with the line."""
    package = path.relative_to(ROOT.parent).with_suffix("").parts[:-1]
    found = set()
    for line, dots, module, names in facts_of(path).imports:
        base = list(package[: len(package) - dots + 1]) if dots else []
        stem = ".".join([*base, *module.split(".")]).strip(".")
        for name in [f"{stem}.{n}" for n in names] or [stem]:
            parts = name.split(".")
            if parts[0] == "chainrule" and len(parts) > 1 and parts[1] in RANK:
                found.add((parts[1], line))
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_imports_point_down(unit):
    assert unit in RANK, f"{unit} belongs to no layer: add it to LAYERS"
    wrong = []
    for path in (p for p in FILES if unit_of(p) == unit):
        for other, line in imported_units(path):
            if RANK[other] > RANK[unit]:
                wrong.append(f"{path}:{line} imports {other}, a layer above {unit}")
            if (unit, other) in BLIND:
                wrong.append(f"{path}:{line}: {unit} must not see {other}")
    assert not wrong, "\n".join(wrong)


def test_the_walk_sees_relative_and_hidden_imports(tmp_path, monkeypatch):
    package = tmp_path / "chainrule" / "ops"
    package.mkdir(parents=True)
    file = package / "x.py"
    file.write_text("def f():\n    from ..tensor.core import wrap\n    from .. import nn\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path / "chainrule")
    assert {u for u, _ in imported_units(file)} == {"tensor", "nn"}
