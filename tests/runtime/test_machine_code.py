"""Our own loader brings object files into memory as LLVM's does, and refuses what is damaged."""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import graph as G
from chainrule.compiler.compiled import Native
from chainrule.compiler.hardware import host
from chainrule.compiler.llvm.build import Loaded, compile_text
from chainrule.compiler.pipeline import compile_graph
from chainrule.dtypes import as_dtype
from chainrule.errors import FormatError
from chainrule.ops import REGISTRY
from chainrule.runtime import elf
from chainrule.runtime.executable import Executable, Times
from chainrule.runtime.loader import Code, arrange, link
from small_programs import same, training_step

BASE = 0x7F00_0000_0000
MAPS = Path("/proc/self/maps")


def by_llvm(compiled):
    """The same object files, linked by LLVM."""
    facts = compiled.facts
    loaded = Loaded(compiled.objects, host(), (facts.entry,))
    results = [(shape, as_dtype(name)) for shape, name in facts.results]
    address = loaded.addresses[facts.entry]
    return Executable(
        loaded, address, facts.inputs, results, facts.arena, facts.shared_work, facts.updated
    )


def both(graph, arrays):
    """Results by our linker and by LLVM's."""
    compiled = compile_graph(graph, host(), Times())
    ours = Native(compiled, host()).executable().run([a.copy() for a in arrays])
    return ours, by_llvm(compiled).run([a.copy() for a in arrays])


@pytest.mark.parametrize("name", REGISTRY)
def test_every_op_computes_what_it_does_under_llvms_linker(name):
    op = REGISTRY[name]
    sample = next(iter(op.samples(np.random.default_rng(5))))
    graph = G.trace(lambda *xs: op(*xs, **sample.params), *sample.inputs)
    ours, theirs = both(graph, sample.inputs)
    assert same(ours, theirs)


def test_a_training_step_computes_what_it_does_under_llvms_linker():
    graph, arrays = training_step()
    ours, theirs = both(graph, arrays)
    assert same(ours, theirs)
    for y, w in zip(ours, G.run(graph, *arrays), strict=True):
        np.testing.assert_allclose(y, w, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- several files, the system


def compiled(text, target=None):
    return compile_text(text, target or host())


CALLER = "declare i64 @other(i64)\ndefine i64 @twice(i64 %x) {\n%y = call i64 @other(i64 %x)\n"
CALLER += "%z = call i64 @other(i64 %y)\nret i64 %z\n}\n"
OTHER = "define i64 @other(i64 %x) {\n%y = mul i64 %x, 3\nret i64 %y\n}\n"
FILLS = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\ndefine void @fill(ptr %p, i64 %n) {\n"
FILLS += "call void @llvm.memset.p0.i64(ptr %p, i8 7, i64 %n, i1 false)\nret void\n}\n"


def call(code, name, *args):
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(args))(code.addresses[name])(
        *args
    )


@pytest.mark.parametrize("order", [1, -1])
def test_files_find_each_others_functions(order):
    code = Code([compiled(CALLER), compiled(OTHER)][::order])
    assert call(code, "twice", 5) == 45


def test_functions_that_code_generators_call_come_from_the_system():
    room = np.zeros(16, np.uint8)
    code = Code([compiled(FILLS)])
    call(code, "fill", room.ctypes.data, 11)
    assert room.tolist() == [7] * 11 + [0] * 5


def test_other_functions_are_refused_by_name():
    text = CALLER.replace("@other", "@system")
    with pytest.raises(FormatError, match="not there") as caught:
        Code([compiled(text)])
    assert caught.value.got == "system"


def test_two_functions_of_one_name_are_refused():
    with pytest.raises(FormatError, match="one name"):
        Code([compiled(OTHER), compiled(OTHER)])


def test_functions_that_may_come_twice_do():
    weak = OTHER.replace("define ", "define weak_odr ")
    assert weak != OTHER
    twice, once = (Code([compiled(text) for text in texts]) for texts in ([weak] * 2, [weak]))
    assert set(twice.addresses) == set(once.addresses)
    with pytest.raises(FormatError, match="one name"):
        Code([compiled(weak), compiled(OTHER)])


@pytest.mark.skipif(not MAPS.exists(), reason="shows memory through /proc")
def test_code_can_be_run_but_not_written_and_goes_with_its_owner():
    def rights(address):
        for line in MAPS.read_text().splitlines():
            low, high = (int(x, 16) for x in line.split()[0].split("-"))
            if low <= address < high:
                return line.split()[1]
        return None

    def both():
        return {line for line in MAPS.read_text().splitlines() if " rwx" in line}

    graph, _ = training_step()
    program = compile_graph(graph, host(), Times())
    before = both()  # others may have such memory
    native = Native(program, host())
    address = native.address
    assert rights(address) == "r-xp"
    assert both() <= before
    del native
    gc.collect()
    assert rights(address) != "r-xp"


# ---------------------------------------------------------------- AArch64, read back


ARM = """
@table = internal constant [4 x i64] [i64 1, i64 2, i64 3, i64 4], align 16
declare double @other(double)
define double @f(double %x, i64 %i) {
  %p = getelementptr i64, ptr @table, i64 %i
  %n = load i64, ptr %p
  %d = sitofp i64 %n to double
  %y = fmul double %x, 0x3FF123456789ABCD
  %z = call double @other(double %y)
  %s = fadd double %z, %d
  ret double %s
}
"""


@functools.cache
def arm():
    """(bytes at BASE, names, layout) of two files for AArch64."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple = "aarch64-unknown-linux-gnu"
    machine = llvm.Target.from_triple(triple).create_target_machine(
        features="+neon", opt=2, reloc="pic", codemodel="small"
    )
    files = []
    other = "define double @other(double %x) {\nret double %x\n}\n"
    for text in (ARM, other):
        module = llvm.parse_assembly(text)
        module.triple = triple
        files.append(machine.emit_object(module))
    layout = arrange(files)
    return (*link(layout, BASE), layout)


def test_calls_and_addresses_of_aarch64_lead_where_they_should():
    image, names, layout = arm()
    first = layout.objects[0]
    seen = set()
    for r in first.relocations:
        at = layout.places[0, r.section] + r.offset
        word = int.from_bytes(image[at : at + 4], "little")
        s = first.symbols[r.symbol]
        wanted = names.get(s.name) or BASE + layout.places[0, s.section] + s.offset
        wanted += r.addend
        seen.add(r.kind)
        if r.kind == 283:  # bl: 26 bits, in instructions
            far = (word & 0x3FFFFFF) << 2
            far -= (far >> 27) << 28
            assert BASE + at + far == wanted
        elif r.kind == 275:  # adrp: 21 bits, in pages
            far = (word >> 5 & 0x7FFFF) << 2 | (word >> 29 & 3)
            far -= (far >> 20) << 21
            assert (BASE + at >> 12) + far == wanted >> 12
        elif r.kind == 261:  # a plain number: where it lies from here
            assert (BASE + at + word) & 0xFFFFFFFF == wanted & 0xFFFFFFFF
        else:  # add and ldr: 12 bits, in units of what is read
            shift = {277: 0, 286: 3}[r.kind]
            assert (word >> 10 & 0xFFF) << shift == wanted & 0xFFF
    assert {275, 283} < seen


# ---------------------------------------------------------------- damaged files: nothing is run


@functools.cache
def whole():
    graph, _ = training_step(layers=1)
    return max(compile_graph(graph, host(), Times()).objects, key=len)


def linked(data):
    """Whether a file can be linked; every other outcome than FormatError is a fault."""
    try:
        link(arrange([bytes(data)]), BASE)
    except FormatError:
        return False
    return True


def test_a_file_that_was_cut_is_refused():
    data = whole()
    assert linked(data)
    cuts = {*range(0, len(data), 97), *range(130), *range(len(data) - 130, len(data))}
    assert not [n for n in cuts if linked(data[:n])]


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6))
def test_a_file_with_other_bytes_is_linked_or_refused(changes):
    data = bytearray(whole())
    for place, change in changes:
        data[int(place * len(data))] ^= change
    linked(data)


TABLES = st.tuples(st.integers(0, 63), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))


@given(st.integers(0, 6), st.lists(TABLES, min_size=1, max_size=4))
def test_a_table_of_sections_with_other_numbers_is_linked_or_refused(section, changes):
    data = bytearray(whole())
    start = int.from_bytes(data[40:48], "little")
    for place, value in changes:
        data[start + 64 * section + place] = value
    linked(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data):
    assert not linked(data)
    assert not linked(b"\x7fELF\x02\x01\x01" + data)


def test_a_relocation_of_an_unknown_kind_is_refused():
    data = bytearray(whole())
    r = elf.parse(bytes(data)).relocations[0]
    at = data.find(r.offset.to_bytes(8, "little") + r.kind.to_bytes(4, "little"))
    data[at + 8] = 99
    with pytest.raises(FormatError, match="unknown kind"):
        link(arrange([bytes(data)]), BASE)


@pytest.mark.skipif(sys.platform == "win32", reason="asks for pages in POSIX's way")
def test_a_system_that_forbids_code_in_memory_is_an_error_in_words(monkeypatch):
    from chainrule.errors import StateError
    from chainrule.runtime import pages

    class Forbids:
        def mprotect(self, *args):
            ctypes.set_errno(13)
            return -1

    monkeypatch.setattr(pages.ctypes, "CDLL", lambda *args, **kwargs: Forbids())
    with pytest.raises(StateError, match="executable"):
        Code([whole()])
