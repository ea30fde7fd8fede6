"""The processor at hand, without LLVM wherever it was asked before.

What LLVM says of a processor is kept in the cache folder, under what the operating system says of
it.  That is part of the name of everything in the cache, so a folder that moves to another
processor helps nobody there, and harms nobody.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
from typing import Any

from ..errors import FormatError
from . import cache
from .key import name_of
from .llvm.target import Target, describe

CPUINFO = "/proc/cpuinfo"
_KEPT = frozenset(
    b"vendor_id|cpu family|model|model name|stepping|flags|Features|CPU implementer|"
    b"CPU architecture|CPU variant|CPU part|CPU revision".split(b"|")
)


@functools.cache
def processor() -> str | None:
    """What the operating system says that tells processors apart; None where it says nothing."""
    try:
        handle = os.open(CPUINFO, os.O_RDONLY)
        try:
            first = os.read(handle, 16384).split(b"\n\n")[0]
        finally:
            os.close(handle)
    except OSError:
        return None
    rows = [line.partition(b":") for line in first.split(b"\n")]
    found = [b"%s:%s" % (k.strip(), v.strip()) for k, _, v in rows if k.strip() in _KEPT]
    if not any(row.startswith((b"flags:", b"Features:")) for row in found):
        return None
    text = b"\n".join(found).decode("utf-8", "backslashreplace")
    return f"{sys.platform} {platform.machine()} {sys.maxsize}\n{text}"


@functools.cache
def host() -> Target:
    """The target of the processor at hand."""
    known = processor()
    key = None if known is None else name_of("host", known)
    found = None if key is None else cache.read(key, _unpack, program=False)
    if found is None:
        from .llvm import build  # only now: LLVM takes longer to start than this answer should

        found = build.host()
        if key is not None:
            cache.write(key, {"target": found._asdict()})
    return found


def _unpack(header: dict[str, Any], parts: list[bytes]) -> Target:
    """A target from a file; raises FormatError on anything that is none."""
    found = header.get("target")
    form = describe("x86_64", "", {})
    if (
        not isinstance(found, dict)
        or tuple(found) != form._fields
        or [type(v) for v in found.values()] != [type(v) for v in form]
    ):
        raise FormatError("cache: a file holds no processor")
    return Target(**found)
