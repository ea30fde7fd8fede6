"""What the processor can do: vector width, registers, features.  Nothing here loads LLVM."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
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

    @property
    def is_known_to_the_loader(self) -> bool:
        """Whether `runtime.loader` can bring object files for it into memory."""
        return self.triple.startswith(("x86_64", "aarch64"))

    def lanes(self, itemsize: int) -> int:
        """How many elements of a size one register holds."""
        return self.bits // (8 * itemsize)


def describe(triple: str, cpu: str, features: dict[str, bool]) -> Target:
    """The target for LLVM's own account of a processor."""
    triple, extra = _elf(triple)
    names = {name for name, on in features.items() if on}
    listed = ",".join(("+" if on else "-") + name for name, on in sorted(features.items()))
    listed += extra
    if not triple.startswith(("x86_64", "amd64", "i686")):
        return Target(triple, cpu, listed, 128, 32, True, False)
    if {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= names:
        # without this LLVM uses half of each register
        return Target(triple, cpu, listed + ",-prefer-256-bit", 512, 32, True, True)
    if {"avx2", "fma"} <= names:
        return Target(triple, cpu, listed, 256, 16, True, False)
    return Target(triple, cpu, listed, 128, 16, False, False, "sse4.1" in names)


def _elf(triple: str) -> tuple[str, str]:
    """The triple for object files of the one form that `runtime.loader` reads; features with it.

    Only their form is that of another system: for our functions, which take pointers and whole
    numbers, macOS calls as Linux does; it keeps register x18 of AArch64 to itself.
    """
    processor, _, system = triple.partition("-")
    processor = {"arm64": "aarch64", "amd64": "x86_64"}.get(processor, processor)
    if processor not in ("x86_64", "aarch64"):
        return triple, ""
    if "darwin" in system or "macos" in system:
        extra = ",+reserve-x18" if processor == "aarch64" else ""
        return f"{processor}-unknown-linux-gnu", extra
    if "windows" in system and not system.endswith("-elf"):
        return f"{processor}-{system}-elf", ",+reserve-x18" if processor == "aarch64" else ""
    return f"{processor}-{system}", ""
