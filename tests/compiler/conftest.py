"""A cache of a test's own."""

from __future__ import annotations

import pytest

from chainrule import compiler
from chainrule.compiler import cache


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A cache of its own, in which nothing but the processor is known."""
    compiler.host()
    place = tmp_path / "cache"
    monkeypatch.setenv("CHAINRULE_CACHE_DIR", str(place))
    monkeypatch.delenv("CHAINRULE_CACHE", raising=False)
    monkeypatch.setattr(cache, "_counts", cache._Counts())
    monkeypatch.setattr(compiler, "_loaded", {})
    return place
