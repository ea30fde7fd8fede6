"""What one core can do at most: float32 multiply-adds that never leave the registers."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

CALL_STEPS = 200_000


def shape_of(features: Any) -> tuple[int, int]:
    """(accumulators, floats in each) for what the processor has: they fill its registers."""
    if features.get("avx512f"):
        return 24, 16
    if features.get("avx2") or features.get("avx"):
        return 12, 8
    return 24 if features.get("neon") or features.get("asimd") else 12, 4


def assembly(count: int, width: int) -> str:
    """The loop in LLVM's language: every accumulator a becomes fma(a, m, c), `steps` times."""
    vector = f"<{width} x float>"
    names = range(count)
    phis = [f"  %a{i} = phi {vector} [ %c, %entry ], [ %n{i}, %loop ]" for i in names]
    adds = [
        f"  %n{i} = call {vector} @llvm.fma.v{width}f32({vector} %a{i}, {vector} %m, {vector} %c)"
        for i in names
    ]
    sums = [f"  %s0 = fadd {vector} %n0, %n0"]
    sums += [f"  %s{i} = fadd {vector} %s{i - 1}, %n{i}" for i in names if i]
    lines = [
        f"declare {vector} @llvm.fma.v{width}f32({vector}, {vector}, {vector})",
        "define float @work(i64 %steps, float %x, float %y) {",
        "entry:",
        f"  %m0 = insertelement {vector} poison, float %x, i32 0",
        f"  %m = shufflevector {vector} %m0, {vector} poison, <{width} x i32> zeroinitializer",
        f"  %c0 = insertelement {vector} poison, float %y, i32 0",
        f"  %c = shufflevector {vector} %c0, {vector} poison, <{width} x i32> zeroinitializer",
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %j, %loop ]",
        *phis,
        *adds,
        "  %j = add i64 %i, 1",
        "  %more = icmp ult i64 %j, %steps",
        "  br i1 %more, label %loop, label %exit",
        "exit:",
        *sums,
        f"  %r = extractelement {vector} %s{count - 1}, i32 0",
        "  ret float %r",
        "}",
    ]
    return "\n".join(lines)


def make_peak() -> Callable[[], float]:
    """A function that measures, in about ten milliseconds, the GFLOP/s of one core just now."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features()
    count, width = shape_of(features)
    text = features.flatten()
    if width == 16:
        text += ",-prefer-256-bit"  # or LLVM halves the vectors
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=text, opt=3)
    module = llvm.parse_assembly(assembly(count, width))
    module.verify()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    kind = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float, ctypes.c_float)
    work = kind(engine.get_function_address("work"))

    def peak() -> float:
        assert engine is not None  # it owns the code that `work` runs
        start = time.perf_counter()
        work(CALL_STEPS, 0.5, 1.0)
        return 2 * count * width * CALL_STEPS / (time.perf_counter() - start) / 1e9

    peak()
    return peak
