"""The README is true: its Python runs, its commands and options exist."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from chainrule.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
INLINE = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def invocations():
    """Every call of `chainrule` in the README, as words after that name."""
    lines = [part for block in SHELL for part in block.split("&&")] + INLINE
    words = [shlex.split(line) for line in lines if "chainrule" in line and "import" not in line]
    return [w[1:] for w in words if w and w[0].rsplit("/", 1)[-1] == "chainrule" and len(w) > 1]


@pytest.mark.slow
def test_the_examples_run(tmp_path):
    seeded = ["import chainrule", "chainrule.manual_seed(0)", *PYTHON]  # the same on every run
    command = [sys.executable, "-W", "error", "-c", "\n".join(seeded)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    accuracy, loss = done.stdout.splitlines()
    assert float(accuracy.split("%")[0]) > 93
    assert float(loss.split()[-1]) < 0.2
    assert loss.startswith("225 steps")


def test_the_first_example_is_ten_lines():
    first, second = PYTHON
    assert len([line for line in first.splitlines() if line.strip()]) == 10
    assert "@chainrule.compile" in second


def test_two_commands():
    """What continuous integration takes from here by number: set up and train, set up and test."""
    assert len(SHELL) == 2
    assert all(block.count("\n") == 1 for block in SHELL)
    assert "pip install -q . " in SHELL[0]
    assert "chainrule train digits" in SHELL[0]
    assert "pytest" in SHELL[1]
    assert "torch" not in SHELL[1]
    assert set(re.findall(r"\.\[(\w+)\]", SHELL[1])) <= set(PROJECT["optional-dependencies"])


def test_the_test_command_installs_no_gigabytes():
    named = " ".join(PROJECT["optional-dependencies"]["test"] + PROJECT["dependencies"])
    assert not re.search(r"torch|jax|tensorflow", named)


def test_there_are_commands_to_check():
    assert ["train", "digits"] in invocations()


@pytest.mark.parametrize("words", invocations(), ids=" ".join)
def test_commands_and_options_exist(words):
    names = [w for w in words if not w.startswith("-")]
    assert names[0] in app.COMMANDS
    command = importlib.import_module(f"chainrule.cli.{names[0].replace('-', '_')}").command
    shown = CliRunner().invoke(command, ["--help"])
    assert shown.exit_code == 0
    for option in (w for w in words if w.startswith("-")):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", shown.output), option


def test_pictures_are_there_small_and_described():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", README)
    assert pictures
    for described, path in pictures:
        assert len(described) > 40
        picture = ROOT / path
        assert picture.stat().st_size < 150_000
        text = picture.read_text(encoding="utf-8")
        assert not re.search(r"(src|href)=|url\(\"?https?:|<script|@import", text)
