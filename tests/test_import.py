"""`import chainrule` is light: no partner is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATE = (
    "llvmlite", "torch", "rich", "click", "jinja2", "sklearn", "pandas", "polars", "onnx",
    "safetensors", "hashlib", "chainrule.jit",
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded():
    """The modules that a fresh interpreter holds after the import."""
    program = "import sys, chainrule; print('\\n'.join(sys.modules))"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("partner", LATE)
def test_partners_are_loaded_when_needed(loaded, partner):
    assert partner not in loaded


def test_parts_are_found_though_nothing_has_used_them():
    program = "import chainrule; chainrule.compiler.show, chainrule.data, chainrule.utils"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_the_probe_sees_what_is_loaded(loaded):
    assert {"chainrule", "chainrule.nn", "numpy"} <= loaded
