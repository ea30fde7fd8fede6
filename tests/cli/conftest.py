"""A command line in a folder of its own."""

from __future__ import annotations

import pytest
from cli_cases import SMALL
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
def chainrule():
    """Calls the command line in this process: chainrule("train", "xor")."""

    def call(*args: str, **env: str) -> Result:
        return CliRunner(env=env).invoke(app, list(args))

    return call


@pytest.fixture
def xor_run(chainrule):
    """A small finished run, xor-0001."""
    result = chainrule("train", "xor", *SMALL)
    assert result.exit_code == 0, result.output
    return "xor-0001"


@pytest.fixture(autouse=True, scope="module")
def shared_builds():
    with sharing_builds():
        yield
