"""A program that is compiled in parts, on any number of threads, is the program compiled whole."""

from __future__ import annotations

import pytest

from chainrule import compiler
from chainrule.compiler.compiled import Native
from chainrule.compiler.llvm import build, emit
from chainrule.compiler.pipeline import compile_graph
from chainrule.runtime import threads
from chainrule.runtime.executable import Times
from small_programs import same, training_step


@pytest.fixture
def thread_count():
    before = threads.get_num_threads()
    yield threads.set_num_threads
    threads.set_num_threads(before)


def compiled(graph):
    return compile_graph(graph, compiler.host(), Times())


def results(made, arrays):
    return Native(made, compiler.host()).executable().run([a.copy() for a in arrays])


def test_parts_compute_what_the_whole_does(monkeypatch):
    graph, arrays = training_step(layers=3)
    monkeypatch.setattr(emit, "MOST_PARTS", 1)
    whole = compiled(graph)
    wanted = results(whole, arrays)
    assert len(whole.objects) == 1
    for size, most, count in ((1, 2, 2), (1, 5, 4), (1, 10_000, None)):
        monkeypatch.setattr(emit, "PART", size)
        monkeypatch.setattr(emit, "MOST_PARTS", most)
        parts = compiled(graph)
        assert count is None or len(parts.objects) == count
        assert same(wanted, results(parts, arrays))


def test_the_code_does_not_depend_on_the_number_of_threads(thread_count):
    graph, _ = training_step(layers=3)
    made = []
    for count in (1, 2, 4):
        thread_count(count)
        made.append(compiled(graph).objects)
    assert made[0] == made[1] == made[2]
    assert len(made[0]) > 1


def test_what_llvm_refuses_is_an_error(thread_count):
    thread_count(2)
    with pytest.raises(RuntimeError, match="LLVM IR parsing error"):
        build.compile_texts(["define void @f() {\nret void\n}\n", "nonsense"], compiler.host())


def test_more_than_one_thread_generates_code_at_a_time(monkeypatch):
    """llvmlite's lock is not held meanwhile: another thread gets it."""
    import threading

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
