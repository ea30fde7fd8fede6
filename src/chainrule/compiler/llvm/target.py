"""What the processor can do: vector width, registers, features.  Nothing here loads LLVM."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A processor as code generation sees it.

    bits: width of a vector register.  registers: how many there are.  fma: multiplies and adds
    with one rounding.  masks: loads and stores of some lanes cost no more than of all.
    """

    triple: str
    cpu: str
    features: str
    bits: int
    registers: int
    fma: bool
    masks: bool
    rounds: bool = True  # has an instruction that rounds to whole numbers

    def lanes(self, itemsize: int) -> int:
        """How many elements of a size one register holds."""
        return self.bits // (8 * itemsize)


def describe(triple: str, cpu: str, features: dict[str, bool]) -> Target:
    """The target for LLVM's own account of a processor."""
    names = {name for name, on in features.items() if on}
    listed = ",".join(("+" if on else "-") + name for name, on in sorted(features.items()))
    if not triple.startswith(("x86_64", "amd64", "i686")):
        return Target(triple, cpu, listed, 128, 32, True, False)
    if {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= names:
        # without this LLVM uses half of each register
        return Target(triple, cpu, listed + ",-prefer-256-bit", 512, 32, True, True)
    if {"avx2", "fma"} <= names:
        return Target(triple, cpu, listed, 256, 16, True, False)
    return Target(triple, cpu, listed, 128, 16, False, False, "sse4.1" in names)
