"""A program that is compiled in parts, on any number of threads, is the program compiled whole."""

from __future__ import annotations

import math
import threading
from collections import deque

import numpy as np
import pytest

from chainrule import compiler, ops
from chainrule import graph as G
from chainrule.compiler import pipeline
from chainrule.compiler.compiled import Native
from chainrule.compiler.llvm import build, emit
from chainrule.compiler.pipeline import compile_graph, steps
from chainrule.runtime import threads
from chainrule.runtime.executable import Times
from compiler.processors import ARM, EXECUTABLE
from small_programs import same, training_step


@pytest.fixture
def thread_count():
    before = threads.get_num_threads()
    yield threads.set_num_threads
    threads.set_num_threads(before)


DEFINED = "define weak_odr void @f"


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def compiled(graph):
    return compile_graph(graph, compiler.host(), Times())


def results(made, arrays):
    return Native(made, compiler.host()).executable().run([a.copy() for a in arrays])


@pytest.fixture(autouse=True)
def nothing_made(monkeypatch):
    monkeypatch.setattr(pipeline, "_made", deque(maxlen=pipeline._made.maxlen))


@pytest.mark.parametrize("loss", [0.0, 1e-3, math.inf])
@pytest.mark.parametrize("size", [slow(1), 4000, slow(emit.PART)])
def test_parts_compute_what_the_whole_does(size, loss, thread_count, monkeypatch):
    """And what is compiled in a hurry computes what is not."""
    monkeypatch.setattr(emit, "PART", size)
    monkeypatch.setattr(emit, "LOSS", loss)
    graph, arrays = training_step(layers=2)
    kernels = dict(steps(graph, compiler.host()))["llvm"].kernels()
    wanted = None
    for count in (1, 2, 3, 100):
        thread_count(count)
        pipeline._made.clear()
        made = compiled(graph)
        nests = len(made.objects) - len(kernels) - 1  # what runs them all stands alone
        assert nests <= count + bool(loss)
        assert nests > 1 or count == 1 or size > 4000 or loss
        thread_count(1)
        found = results(made, arrays)
        wanted = wanted or found
        assert same(wanted, found)


@pytest.mark.parametrize("name", EXECUTABLE)
def test_haste_changes_no_bit(name, monkeypatch):
    """Of products with an optimizer in them, sums, and functions."""
    graph, arrays = training_step(layers=2, n=40, rows=24)
    found = []
    for loss in (0.0, math.inf):
        monkeypatch.setattr(emit, "LOSS", loss)
        made = compile_graph(graph, EXECUTABLE[name], Times())
        found.append(Native(made, EXECUTABLE[name]).executable().run([a.copy() for a in arrays]))
    assert same(*found)


@pytest.mark.parametrize("effort", [build.HASTY, build.USUAL])
def test_other_processors_get_code_too(effort):
    build.ready_for_all()
    emitted = dict(steps(training_step(layers=2)[0], ARM))["llvm"]
    for part in (*emitted.parts(1, ()), *emitted.kernels()):
        assert build.compile_text(part.text, ARM, effort)[:4] == b"\x7fELF"


def texts_compiled(monkeypatch):
    """A list that takes in what LLVM is given, but for kernels."""
    seen = []

    def compile_all(texts, *args):
        seen.extend(t for t in texts if DEFINED in t)
        return build.compile_texts(texts, *args)

    monkeypatch.setattr(pipeline, "compile_texts", compile_all)
    return seen


def functions(texts):
    return sum(t.count(DEFINED) for t in texts)


def test_a_program_that_was_made_before_gives_llvm_nothing_to_do(thread_count, monkeypatch):
    thread_count(1)
    graph, arrays = training_step(layers=2)
    wanted = results(compiled(graph), arrays)
    seen = texts_compiled(monkeypatch)
    again = compiled(graph)
    assert not seen
    assert same(wanted, results(again, arrays))


def test_a_step_with_fewer_rows_shares_most_functions(thread_count, monkeypatch):
    """And gives what it gives when nothing is known."""
    thread_count(1)
    compiled(training_step(layers=3, n=64, rows=128)[0])
    seen = texts_compiled(monkeypatch)
    graph, arrays = training_step(layers=3, n=64, rows=80)
    few = results(compiled(graph), arrays)
    shared = functions(seen)
    seen.clear()
    pipeline._made.clear()
    assert same(few, results(compiled(graph), arrays))
    assert shared <= functions(seen) / 2


def test_what_is_kept_leads_to_nothing_that_is_not(monkeypatch, thread_count):
    """Though each program shares a function with the one before, for whatever is made later."""
    thread_count(1)
    most = 4
    monkeypatch.setattr(pipeline, "_made", deque(maxlen=most))
    a = np.ones((32, 32), np.float32)
    for k in range(8):
        b = np.ones((32, 129 + k), np.float32)

        def two(x, w, v, k=k):
            return ops.matmul(x, w) * (k + 2.0), ops.matmul(x, v) * (k + 3.0)

        compiled(G.trace(two, a, b, b))
        found = {}
        pipeline._made[-1].whole(found)
        assert len(found) <= most + 2  # one part of what is new, and what runs all


def test_what_llvm_refuses_is_an_error(thread_count):
    thread_count(2)
    with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
        build.compile_texts(["define void @f() {\nret void\n}\n", "nonsense"], compiler.host())


def test_threads_that_compile_end_where_not_all_can_start(thread_count, monkeypatch):
    """As after Ctrl-C at that moment: each with the text that it is at."""
    thread_count(3)
    go_on, started, seen = threading.Event(), [], []

    class Started(threading.Thread):
        def start(self):
            started.append(self)
            if len(started) > 1:
                raise KeyboardInterrupt
            super().start()

    def compile_one(text, *_):
        seen.append(text)
        assert go_on.wait(10)
        return b""

    monkeypatch.setattr(build.threading, "Thread", Started)
    monkeypatch.setattr(build, "compile_text", compile_one)
    with pytest.raises(KeyboardInterrupt):
        build.compile_texts(["a", "b", "c", "d"], compiler.host())
    go_on.set()
    started[0].join(10)
    assert len(seen) <= 1


def test_more_than_one_thread_generates_code_at_a_time(monkeypatch):
    """llvmlite's lock is not held meanwhile: another thread gets it."""
    from llvmlite.binding import ffi

    library = build._library()
    seen = []

    class Watched:
        def __getattr__(self, name):
            def call(*args):
                def ask():
                    with ffi.lib._lock:
                        seen.append(name)

                other = threading.Thread(target=ask)
                other.start()
                other.join(10)
                return getattr(library, name)(*args)

            return call

    monkeypatch.setattr(build, "_library", Watched)
    build.compile_text("define void @f() {\nret void\n}\n", compiler.host())
    assert seen == ["LLVMPY_TargetMachineEmitToMemory"]
