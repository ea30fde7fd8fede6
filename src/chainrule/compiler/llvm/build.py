"""From LLVM text to machine code in memory; the only file that imports llvmlite."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections import deque
from collections.abc import Container, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding import ffi

from ...runtime import threads
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


HASTY, USUAL = 0, 2
"""How much LLVM's code generator does for fast code: the first takes a fourth of the time."""


def machine(target: Target, effort: int = USUAL) -> Any:
    """LLVM's code generator for a target.

    Code of the small model, position independent: calls and constants are reached from the place
    where they are used, and it can lie anywhere.
    """
    ready()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=effort, reloc="pic", codemodel="small"
    )


class _Generators(threading.local):
    """LLVM's code generators of one thread: they hold state while they work.

    Making one, and telling it of the processor, takes more than a millisecond.
    """

    def __init__(self) -> None:
        self.made: dict[tuple[Target, int], Any] = {}

    def of(self, target: Target, effort: int) -> Any:
        """The one for a target."""
        if (target, effort) not in self.made:
            self.made[target, effort] = machine(target, effort)
        return self.made[target, effort]


_generators = _Generators()


def compile_texts(
    texts: Sequence[str], target: Target, cold: Container[str] = ()
) -> list[bytes]:  # fmt: skip
    """The object files of modules, made by as many threads as programs run on.

    cold: those of them that are compiled in a hurry.
    """
    left = deque(sorted(range(len(texts)), key=lambda i: (texts[i] in cold, -len(texts[i]))))
    made: dict[int, bytes] = {}
    problems: list[BaseException] = []

    def work() -> None:
        """One text after the other, the longest first."""
        while not problems:
            try:
                i = left.popleft()
            except IndexError:
                return
            try:
                made[i] = compile_text(texts[i], target, HASTY if texts[i] in cold else USUAL)
            except BaseException as problem:
                problems.append(problem)

    count = min(threads.get_num_threads(), len(texts))
    others = [threading.Thread(target=work) for _ in range(1, count)]
    try:
        for thread in others:
            thread.start()
        work()
        for thread in others:
            thread.join()
    finally:
        left.clear()  # after Ctrl-C the others end as well
    if problems:
        raise problems[0]
    return [made[i] for i in range(len(texts))]


def compile_text(text: str, target: Target, effort: int = USUAL) -> bytes:
    """The object file of a module."""
    generator = _generators.of(target, effort)
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        module.triple = target.triple
        return _emit_object(generator, module)


def _emit_object(generator: Any, module: Any) -> bytes:
    """What `generator.emit_object(module)` does, without llvmlite's lock around it.

    LLVM generates code on any number of threads, as long as each has its own context.
    """
    with ffi.OutputString() as problem:
        buffer = _library().LLVMPY_TargetMachineEmitToMemory(generator, module, 1, problem)
        if not buffer:
            raise RuntimeError(f"LLVM: {problem}")
    try:
        start, size = ffi.lib.LLVMPY_GetBufferStart(buffer), ffi.lib.LLVMPY_GetBufferSize(buffer)
        return ctypes.string_at(start, size)
    finally:
        ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


@functools.cache
def _library() -> Any:
    """LLVM's library, whose functions let other threads in while they run."""
    library = ctypes.CDLL(ffi.lib._name, handle=ffi.lib._handle)
    emit = library.LLVMPY_TargetMachineEmitToMemory
    emit.argtypes = ffi.lib.LLVMPY_TargetMachineEmitToMemory.argtypes
    emit.restype = ffi.lib.LLVMPY_TargetMachineEmitToMemory.restype
    return library


def assembly(text: str, target: Target) -> str:
    """The same as assembler text, for reading, also where the target is another processor."""
    ready_for_all()
    module = llvm.parse_assembly(text)
    module.triple = target.triple
    listing: str = machine(target).emit_assembly(module)
    return listing


class Loaded:
    """What `runtime.loader.Code` is, by LLVM's own linker: for processors that ours can't serve."""

    _number = 0

    def __init__(self, objects: Sequence[bytes], target: Target, names: tuple[str, ...]) -> None:
        Loaded._number += 1
        builder = llvm.JITLibraryBuilder()
        for code in objects:
            builder.add_object_img(code)
        for name in names:
            builder.export_symbol(name)
        self.library = builder.link(jit(target), f"program{Loaded._number}")
        self.addresses: dict[str, int] = {name: self.library[name] for name in names}


@functools.cache
def jit(target: Target) -> Any:
    """What links object files into this process."""
    return llvm.create_lljit_compiler(machine(target), use_jit_link=False)
