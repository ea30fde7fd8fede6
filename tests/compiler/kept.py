"""Helpers of the tests of what is kept on the disk."""

from __future__ import annotations

import numpy as np

from chainrule import compiler
from chainrule.compiler import cache
from small_programs import scaled

X = np.arange(5, dtype=np.float32)


def forget():
    """As a new process: what is in memory is gone."""
    compiler._loaded.clear()
    cache._counts = cache._Counts()


def works(factor=2.0):
    """Builds a program, runs it, and gives what was counted."""
    executable = compiler.build(scaled(factor))
    assert executable.run([X])[0].tolist() == (X * np.float32(factor)).tolist()
    return executable, cache.statistics()


def entry(place):
    (path,) = place.glob("code-*")
    return path
