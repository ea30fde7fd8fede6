"""How addresses are written into machine code, for each kind that LLVM uses in our programs.

`put(image, at, place, value)` writes into `image` at offset `at`, which will lie at address
`place`; value is the symbol's address plus the addend.  The kinds are those of the psABI documents
of x86-64 and of AArch64.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from .elf import AARCH64, X86_64, bad

Put = Callable[[bytearray, int, int, int], None]


def _word(text: str, size: int, relative: bool) -> Put:
    """A plain number: the address, or how far it is from here."""
    form = struct.Struct(text)

    def put(image: bytearray, at: int, place: int, value: int) -> None:
        number = value - place if relative else value
        try:
            form.pack_into(image, at, number)
        except struct.error:
            raise bad("an address is out of reach", f"{number} in {size} bytes") from None

    return put


def _changed(image: bytearray, at: int, clear: int, bits: int) -> None:
    """An instruction of four bytes with some bits replaced."""
    if at + 4 > len(image):
        raise bad("an instruction is cut off", at)
    old = int.from_bytes(image[at : at + 4], "little")
    image[at : at + 4] = (old & ~clear | bits).to_bytes(4, "little")


def _branch(image: bytearray, at: int, place: int, value: int) -> None:
    """A jump or a call: 26 bits, in instructions."""
    far = value - place
    if far & 3 or not -(1 << 27) <= far < 1 << 27:
        raise bad("a call is out of reach", far)
    _changed(image, at, 0x3FFFFFF, far >> 2 & 0x3FFFFFF)


def _page(image: bytearray, at: int, place: int, value: int) -> None:
    """adrp: how many pages of 4096 bytes away, in 21 bits that stand in two places."""
    far = (value >> 12) - (place >> 12)
    if not -(1 << 20) <= far < 1 << 20:
        raise bad("an address is out of reach", far)
    _changed(image, at, 3 << 29 | 0x7FFFF << 5, (far & 3) << 29 | (far >> 2 & 0x7FFFF) << 5)


def _within_page(shift: int) -> Put:
    """add, ldr, str: the place within the page, in units of what is read."""

    def put(image: bytearray, at: int, place: int, value: int) -> None:
        low = value & 0xFFF
        if low & ((1 << shift) - 1):
            raise bad("an address is not aligned", low)
        _changed(image, at, 0xFFF << 10, low >> shift << 10)

    return put


KINDS: dict[tuple[int, int], Put] = {
    (X86_64, 1): _word("<Q", 8, False),  # R_X86_64_64
    (X86_64, 2): _word("<i", 4, True),  # PC32
    (X86_64, 4): _word("<i", 4, True),  # PLT32
    (X86_64, 10): _word("<I", 4, False),  # 32
    (X86_64, 11): _word("<i", 4, False),  # 32S
    (X86_64, 24): _word("<q", 8, True),  # PC64
    (AARCH64, 257): _word("<Q", 8, False),  # R_AARCH64_ABS64
    (AARCH64, 260): _word("<q", 8, True),  # PREL64
    (AARCH64, 261): _word("<i", 4, True),  # PREL32
    (AARCH64, 275): _page,  # ADR_PREL_PG_HI21
    (AARCH64, 277): _within_page(0),  # ADD_ABS_LO12_NC
    (AARCH64, 278): _within_page(0),  # LDST8_ABS_LO12_NC
    (AARCH64, 282): _branch,  # JUMP26
    (AARCH64, 283): _branch,  # CALL26
    (AARCH64, 284): _within_page(1),  # LDST16_ABS_LO12_NC
    (AARCH64, 285): _within_page(2),  # LDST32
    (AARCH64, 286): _within_page(3),  # LDST64
    (AARCH64, 299): _within_page(4),  # LDST128
}
"""(machine, number of the kind): what writes it."""

BRIDGES = {
    X86_64: bytes.fromhex("ff2500000000"),  # jmp [rip]
    AARCH64: bytes.fromhex("5000005800021fd6"),  # ldr x16, 8; br x16
}
"""Code in front of an address of 8 bytes that jumps there, however far it is."""
