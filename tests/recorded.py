"""What every case of a layer or function is held to as a recorded program."""

from __future__ import annotations

import numpy as np

import chainrule
from chainrule import graph as G
from chainrule.tensor.core import wrap


def assert_recorded(case, library=chainrule):
    """The program that shapes alone give computes the very numbers that eager mode does.

    `library` is what the case asks for functions and layers while it is recorded.
    """
    program = G.trace(lambda *xs: case.run(library, *xs), *case.inputs)
    G.verify(program)
    found = G.run(program, *case.inputs)
    wanted = case.run(chainrule, *map(wrap, case.inputs))
    wanted = wanted if isinstance(wanted, (tuple, list)) else (wanted,)
    for y, w in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(y, w.numpy())
