"""Memory that holds machine code: written first, then run, and never both at once."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

from ..errors import StateError

PAGE = mmap.ALLOCATIONGRANULARITY if sys.platform == "win32" else mmap.PAGESIZE


class Pages:
    """Whole pages of memory of this process, given back when this object goes."""

    def __init__(self, size: int) -> None:
        self.size = max(-(-size // PAGE) * PAGE, PAGE)
        self.address: int = self._allocate()

    def write(self, data: bytes | bytearray) -> None:
        """Puts bytes at the start."""
        assert len(data) <= self.size
        ctypes.memmove(self.address, (ctypes.c_char * len(data)).from_buffer_copy(data), len(data))

    def _refused(self, number: int) -> StateError:
        return StateError(
            f"the system lets this process make no memory executable (error {number})",
            fix="allow it (SELinux: execmem; systemd: MemoryDenyWriteExecute=no), or train eagerly",
        )

    if sys.platform == "win32":

        def _allocate(self) -> int:
            self.system: Any = ctypes.WinDLL("kernel32", use_last_error=True)
            self.system.VirtualAlloc.restype = ctypes.c_void_p
            self.system.VirtualAlloc.argtypes = (
                ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_uint32,
            )  # fmt: skip
            address = self.system.VirtualAlloc(None, self.size, 0x3000, 0x04)  # read and write
            if not address:
                raise MemoryError(f"no {self.size} bytes for machine code")
            return int(address)

        def protect(self, start: int, stop: int, run: bool) -> None:
            """Makes pages read-only, and executable where they run."""
            if start == stop:
                return
            old = ctypes.c_uint32()
            place, size = ctypes.c_void_p(self.address + start), ctypes.c_size_t(stop - start)
            mode = 0x20 if run else 0x02
            if not self.system.VirtualProtect(place, size, mode, ctypes.byref(old)):
                raise self._refused(ctypes.get_last_error())
            if run:
                process = ctypes.c_void_p(-1)
                self.system.FlushInstructionCache(process, place, size)

        def __del__(self) -> None:
            if hasattr(self, "address"):
                place = ctypes.c_void_p(self.address)
                self.system.VirtualFree(place, ctypes.c_size_t(0), 0x8000)

    else:

        def _allocate(self) -> int:
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            self.memory = mmap.mmap(-1, self.size, flags, mmap.PROT_READ | mmap.PROT_WRITE)
            # holds the memory, so that it is not unmapped before
            self.start = ctypes.c_char.from_buffer(self.memory)
            return ctypes.addressof(self.start)

        def protect(self, start: int, stop: int, run: bool) -> None:
            """Makes pages read-only, and executable where they run."""
            if start == stop:
                return
            system = ctypes.CDLL(None, use_errno=True)
            mode = mmap.PROT_READ | (mmap.PROT_EXEC if run else 0)
            place, size = ctypes.c_void_p(self.address + start), ctypes.c_size_t(stop - start)
            if system.mprotect(place, size, mode):
                raise self._refused(ctypes.get_errno())
            # Linux brings what was written to the instruction cache when pages become executable
            if run and sys.platform == "darwin":
                system.sys_icache_invalidate(place, size)
