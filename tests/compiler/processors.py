"""Processors that code is made for: this one, less able ones whose code runs here too, another."""

from __future__ import annotations

import platform

import llvmlite.binding as llvm

from chainrule.compiler.llvm import build
from chainrule.compiler.llvm.target import Target, describe

HOST = build.host()
X86 = platform.machine().lower() in ("x86_64", "amd64")
PLAIN = ("64bit", "cmov", "cx8", "fxsr", "mmx", "sse", "sse2")  # what every x86-64 has
NEON = {"neon": True, "fp-armv8": True}


def without(*parts: str) -> Target:
    """This processor without the features whose names begin so."""
    features = dict(llvm.get_host_cpu_features())
    kept = {name: on and not name.startswith(parts) for name, on in features.items()}
    return describe(HOST.triple, "x86-64", kept)


def plain() -> Target:
    """The least that an x86-64 processor can do: 128 bits, no fma, no rounding instruction."""
    features = dict.fromkeys(llvm.get_host_cpu_features(), False)
    return describe(HOST.triple, "x86-64", {**features, **dict.fromkeys(PLAIN, True)})


def executable() -> dict[str, Target]:
    """name -> target, for all whose code this machine can run."""
    found = {"host": HOST}
    if X86:
        names = {name for name, on in llvm.get_host_cpu_features().items() if on}
        if {"avx2", "fma"} <= names and HOST.bits > 256:
            found["avx2"] = without("avx512", "evex", "avx10", "amx")
        found["sse2"] = plain()
    return found


EXECUTABLE = executable()
ARM = describe("aarch64-unknown-linux-gnu", "generic", NEON)
FIXED = {
    "avx512": describe("x86_64-unknown-linux-gnu", "skylake-avx512", dict.fromkeys(
        ("avx512f", "avx512vl", "avx512bw", "avx512dq", "avx2", "fma"), True)),
    "avx2": describe("x86_64-unknown-linux-gnu", "haswell", {"avx2": True, "fma": True}),
    "sse2": describe("x86_64-unknown-linux-gnu", "x86-64", {"sse2": True}),
    "neon": ARM,
}  # fmt: skip
"""The same four on every machine: what is printed or counted for them differs nowhere."""
