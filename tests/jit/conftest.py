"""What runs recorded programs in these tests."""

from __future__ import annotations

import pytest

from chainrule import errors
from chainrule.graph import run

errors._INTERNAL_FILES.add(__file__)  # no line of this file is the user's


class InNumPy:
    """Runs a program line by line in NumPy: what is recorded is held bit by bit to eager."""

    def __init__(self, graph):
        self.graph = graph

    def run(self, arrays, ran=None):
        outputs = list(run(self.graph, *arrays))
        if ran is not None:
            ran += outputs, None
        return outputs


@pytest.fixture(autouse=True)
def executor(request, monkeypatch):
    """NumPy, unless a test is marked `native`: there the machine code runs."""
    if request.node.get_closest_marker("native") is None:
        monkeypatch.setattr("chainrule.jit.program.build", InNumPy)
