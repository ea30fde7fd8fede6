"""A command line in a folder of its own."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from cli_cases import PENGUINS, QUICK, SMALL
from click.testing import CliRunner, Result

from builds import sharing_builds
from chainrule.cli.app import app


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def penguins(own_folder):
    """The bundled table as a file of the test's folder."""
    Path("penguins.csv").write_text(PENGUINS)
    return "penguins.csv"


@pytest.fixture
def chainrule():
    """Calls the command line in this process: chainrule("train", "xor")."""

    def call(*args: str, **env: str) -> Result:
        return CliRunner(env=env).invoke(app, list(args))

    return call


@pytest.fixture
def species(chainrule, penguins):
    """The name of a run that has learned the species of the bundled table."""
    result = chainrule("train", penguins, "--target", "species", *QUICK)
    assert result.exit_code == 0, result.output
    return "penguins-0001"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Carries out commands in a folder of their own, once for all tests: trained(("train", "xor")).

    Only for data sets of the library: a run of a table knows the folder of its file.
    """
    made = {}

    def runs(*commands):
        if commands not in made:
            folder = tmp_path_factory.mktemp("trained")
            with contextlib.chdir(folder):
                for words in commands:
                    result = CliRunner().invoke(app, list(words))
                    assert result.exit_code == 0, result.output
            made[commands] = folder / "runs"
        return made[commands]

    return runs


@pytest.fixture
def copied(trained, own_folder):
    """Copies into the test's folder the runs that commands made."""
    return lambda *commands: shutil.copytree(trained(*commands), own_folder / "runs")


@pytest.fixture
def xor_run(copied):
    """A small finished run, xor-0001."""
    copied(("train", "xor", *SMALL))
    return "xor-0001"


@pytest.fixture(autouse=True, scope="module")
def shared_builds():
    with sharing_builds():
        yield
