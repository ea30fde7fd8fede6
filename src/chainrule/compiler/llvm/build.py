"""From LLVM text to machine code in memory; the only file that imports llvmlite."""

from __future__ import annotations

import functools
from typing import Any

import llvmlite.binding as llvm

from .target import Target, describe


@functools.cache
def ready() -> None:
    """Starts LLVM, once."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def ready_for_all() -> None:
    """Starts LLVM for other processors than this one too, whose code can be read but not run."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def host() -> Target:
    """The processor at hand."""
    features = dict(llvm.get_host_cpu_features())
    return describe(llvm.get_default_triple(), llvm.get_host_cpu_name(), features)


@functools.cache
def machine(target: Target, jit: bool = True) -> Any:
    """LLVM's code generator for a target."""
    ready()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, reloc="pic", jit=jit
    )


def compile_text(text: str, target: Target) -> bytes:
    """The object file of a module."""
    ready()
    module = llvm.parse_assembly(text)
    module.triple = target.triple
    code: bytes = machine(target).emit_object(module)
    return code


def assembly(text: str, target: Target) -> str:
    """The same as assembler text, for reading, also where the target is another processor."""
    ready_for_all()
    module = llvm.parse_assembly(text)
    module.triple = target.triple
    listing: str = machine(target, jit=False).emit_assembly(module)
    return listing


class Loaded:
    """Machine code that can be called, kept as long as this object lives."""

    _number = 0

    def __init__(self, code: bytes, target: Target, names: tuple[str, ...]) -> None:
        Loaded._number += 1
        builder = llvm.JITLibraryBuilder().add_object_img(code)
        for name in names:
            builder.export_symbol(name)
        self.library = builder.link(jit(target), f"program{Loaded._number}")
        self.address: dict[str, int] = {name: self.library[name] for name in names}


@functools.cache
def jit(target: Target) -> Any:
    """What links object files into this process."""
    return llvm.create_lljit_compiler(machine(target), use_jit_link=False)
