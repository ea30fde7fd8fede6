"""Recorded programs as functions of one C file, compiled without a warning, and called."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess

import numpy as np
import pytest

from chainrule.compiler.c import emit, memory_type
from chainrule.compiler.loops.lower import lower
from compiler.native import simplified

CC = shutil.which("cc")
_count = itertools.count()
STRICT = ("-O2", "-Wall", "-Wextra", "-Werror", "-std=c99", "-pedantic")
needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler: apt-get install gcc")


def library(source, folder):
    """A C file in memory."""
    path = folder / f"{source.stem}-{next(_count)}.so"  # one of a known name is not loaded again
    command = [CC, *STRICT, "-shared", "-fPIC", str(source), "-o", str(path), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(path))


def address(array):
    return ctypes.c_void_p(array.ctypes.data)


class InC:
    """Graphs as functions f0, f1, ... of the memory of their buffers."""

    def __init__(self, graphs, folder):
        self.programs = [lower(simplified(g)) for g in graphs]
        helpers, bodies = {}, []
        for i, p in enumerate(self.programs):
            buffers = (*p.inputs, *p.outputs, *p.temps)
            places = {b.name: f"(({memory_type(b.dtype)} *)m[{n}])" for n, b in enumerate(buffers)}
            made = emit(p, places)
            helpers |= made.helpers
            bodies += [f"void f{i}(void **m)", "{", "(void)m;", *made.lines, "}"]
        heads = [f"#include <{name}.h>" for name in ("math", "stdint", "string")]
        source = folder / "programs.c"
        source.write_text("\n".join([*heads, *helpers.values(), *bodies]) + "\n")
        self.library = library(source, folder)

    def run(self, i, arrays):
        """(the outputs of a program, its inputs afterwards)."""
        p = self.programs[i]
        given = [np.array(a, order="C") for a in arrays]
        others = [np.full(b.shape, 7, b.dtype) for b in (*p.outputs, *p.temps)]
        memory = [*given, *others]
        table = (ctypes.c_void_p * len(memory))(*(a.ctypes.data for a in memory))
        getattr(self.library, f"f{i}")(table)
        return others[: len(p.outputs)], given
