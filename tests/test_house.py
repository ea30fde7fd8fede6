"""The rules of the house hold themselves: sizes, names, and what must never be committed."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from sources import facts_of, text_of

ROOT = Path(__file__).parents[1]
MAX_LINES, MAX_COLUMNS, MAX_FUNCTION = 450, 100, 80
PRAGMA = re.compile(r"\s*# (type: ignore|noqa|fmt|pragma).*")


def committed():
    """Every file of the project: git's list, or in an unpacked copy the files that are there."""
    try:
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / line for line in listed.stdout.splitlines()]
    except (OSError, subprocess.CalledProcessError):
        folders = ("src", "tests", "docs", "benchmarks", ".ci")
        paths = [p for name in folders for p in (ROOT / name).rglob("*")]
        paths += list(ROOT.glob("*.*"))
    return sorted(p for p in paths if p.is_file() and "__pycache__" not in p.parts)


FILES = committed()
CODE = [p for p in FILES if p.suffix == ".py"]
TEXTS = [p for p in FILES if p.suffix in {".py", ".md", ".toml", ".html", ".css"}]
TEXTS += [p for p in FILES if p.name in {"Makefile", "run"}]


def name_of(path):
    return str(path.relative_to(ROOT))


def test_there_is_something_to_hold():
    assert ROOT / "src" / "chainrule" / "grad.py" in CODE
    assert ROOT / "README.md" in TEXTS


def test_files_are_short():
    long = {name_of(p): n for p in CODE if (n := text_of(p).count("\n")) > MAX_LINES}
    assert not long


def test_lines_are_short():
    found = [
        f"{name_of(p)}:{number}"
        for p in CODE
        for number, line in enumerate(text_of(p).splitlines(), 1)
        if len(PRAGMA.sub("", line)) > MAX_COLUMNS
    ]
    assert not found


def test_functions_are_short():
    long = [
        f"{name_of(p)}:{line} {name}"
        for p in CODE
        for line, name, size in facts_of(p).functions
        if size >= MAX_FUNCTION
    ]
    assert not long


def test_nothing_is_left_for_later():
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
    assert not [name_of(p) for p in TEXTS if marks.search(text_of(p))]


def imported(path):
    """The packages that a file imports."""
    return {module.split(".")[0] for _, _, module, _ in facts_of(path).imports}


def allows_pickles(path):
    """Whether any call in a file may read or write them."""
    text = text_of(path)
    return "allow_pickle" in text and any(
        isinstance(node, ast.keyword)
        and node.arg == "allow_pickle"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
        for node in ast.walk(ast.parse(text))
    )


def test_nothing_is_pickled():
    """Reading a pickle runs what its writer wished: there is none here, read or written."""
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    ours = [
        p for p in CODE if ROOT / "tests" not in p.parents
    ]  # tests may prove that it is refused
    assert not {name_of(p): found for p in ours if (found := imported(p) & forbidden)}
    assert not [name_of(p) for p in CODE if allows_pickles(p)]


def test_no_path_of_one_machine():
    machine = re.compile(r"(?<![\w.~$}/-])/(?:home|root|work|Users|mnt)/[\w.-]+")
    assert not {name_of(p): found for p in TEXTS if (found := machine.findall(text_of(p)))}


def test_a_folder_says_its_idea():
    count = Counter(p.parent for p in CODE if ROOT / "src" / "chainrule" in p.parent.parents)
    large = [folder for folder, files in count.items() if files > 3]
    assert not [name_of(f) for f in large if not (f / "README.md").exists()]
    pages = [f / "README.md" for f in large]
    assert not [name_of(p) for p in pages if len(text_of(p).splitlines()) > 60]


def test_test_files_have_names_of_their_own():
    """pytest imports them by name: two files of one name would hide each other."""
    names = Counter(p.name for p in CODE if ROOT / "tests" in p.parents)
    apart = ("make_", "__", "conftest")
    assert not [name for name, n in names.items() if n > 1 and not name.startswith(apart)]


@pytest.mark.parametrize("line", ["x = 1  # type: ignore[attr-defined]", "y = 2  # noqa: E402"])
def test_what_a_checker_is_told_does_not_count(line):
    assert len(PRAGMA.sub("", line)) == 5
