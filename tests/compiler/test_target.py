"""What a processor and its system are to the code generator."""

from __future__ import annotations

import llvmlite.binding as llvm
import pytest

from chainrule.compiler.llvm.target import describe
from chainrule.compiler.pipeline import compile_graph
from chainrule.runtime.executable import Times
from chainrule.runtime.loader import arrange, link
from small_programs import training_step

TRIPLES = {
    "x86_64-unknown-linux-gnu": "x86_64-unknown-linux-gnu",
    "x86_64-alpine-linux-musl": "x86_64-alpine-linux-musl",
    "x86_64-apple-darwin23.1.0": "x86_64-unknown-linux-gnu",
    "arm64-apple-darwin23.1.0": "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu": "aarch64-unknown-linux-gnu",
    "x86_64-pc-windows-msvc": "x86_64-pc-windows-msvc-elf",
    "powerpc64le-unknown-linux-gnu": "powerpc64le-unknown-linux-gnu",
}


@pytest.mark.parametrize("triple", TRIPLES)
def test_object_files_are_of_the_form_that_the_loader_reads(triple):
    target = describe(triple, "generic", {})
    assert target.triple == TRIPLES[triple]
    assert target.is_known_to_the_loader == (not triple.startswith("powerpc"))
    reserved = "+reserve-x18" in target.features
    assert reserved == triple.startswith("arm64-apple")  # macOS keeps it to itself
    if not target.is_known_to_the_loader:
        return
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    graph, _ = training_step()
    made = compile_graph(graph, target, Times())
    _, names = link(arrange(made.objects), 0x10000)
    assert made.facts.entry in names
