"""Compiled code on the disk, so that a program is compiled once and not in every process.

The folder is CHAINRULE_CACHE_DIR, else `chainrule` in the platform's folder for caches;
CHAINRULE_CACHE=0 switches it off.  What can't be read or written only costs time: a file that is
damaged is removed and made again, and a full disk, a folder that is read-only or none at all are
like an empty cache.  Since code from here is run, the folder and its files must belong to this
user, and nobody else may write to them.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple, TypeVar

from ..errors import FormatError
from .sealed import seal, unseal

T = TypeVar("T")
MOST_BYTES = 256 << 20
"""What the folder may hold; beyond it, what was used longest ago goes."""

_SUFFIX, _TEMPORARY = ".sealed", ".tmp"
_HOUR = 3600.0
_numbers = count()


class Statistics(NamedTuple):
    """What the cache did for this process.

    hits, misses: programs that were there, or not.  damaged: found and thrown away.  unwritten:
    could not be kept.  bytes: read and written.  seconds: spent on both.  off: why it is not used.
    """

    hits: int
    misses: int
    damaged: int
    unwritten: int
    bytes: int
    seconds: float
    off: str


class _Counts:
    hits = misses = damaged = unwritten = bytes = writes = 0
    seconds = 0.0


_counts = _Counts()


def statistics() -> Statistics:
    """What the cache did for this process so far."""
    c = _counts
    off = _place()[1]
    return Statistics(c.hits, c.misses, c.damaged, c.unwritten, c.bytes, c.seconds, off)


def folder() -> str | None:
    """Where compiled code is kept; None where it is not."""
    return _place()[0]


def clear() -> int:
    """Removes all that is kept; how many files that were."""
    removed = 0
    for path, _ in _listed():
        with suppress(OSError):
            os.remove(path)
            removed += 1
    return removed


# ---------------------------------------------------------------- the folder


def _wanted() -> str | None:
    """The path that the user, or the platform, wants."""
    chosen = os.environ.get("CHAINRULE_CACHE_DIR")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    elif sys.platform == "darwin":
        base = os.path.join(home, "Library", "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # so says the standard
            base = os.path.join(home, ".cache")
    return os.path.join(base, "chainrule") if os.path.isabs(base) else None


def _place() -> tuple[str | None, str]:
    """(the folder, ""), or (None, why there is none)."""
    if os.environ.get("CHAINRULE_CACHE") == "0":
        return None, "CHAINRULE_CACHE=0"
    path = _wanted()
    if path is None:
        return None, "there is no home folder"
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path)
    except OSError as error:
        return None, f"{path}: {error.strerror}"
    problem = _mistrust(found)
    return (None, f"{path} {problem}") if problem else (path, "")


def _mistrust(found: os.stat_result) -> str:
    """Why code from such a file or folder must not be run; "" if it may."""
    if sys.platform != "win32":  # there the folder is the user's own by its access list
        if found.st_uid != os.geteuid():
            return "belongs to another user"
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return "can be written by others"
    return ""


# ---------------------------------------------------------------- reading


def read(
    key: str, use: Callable[[dict[str, Any], list[bytes]], T], program: bool = True
) -> T | None:
    """What `use` makes of the header and the parts kept under a key; None where there are none.

    A file of which `use` or the checksum raises FormatError is removed.
    """
    start = time.perf_counter()
    place = folder()
    path = os.path.join(place, key + _SUFFIX) if place else ""
    data = _content(path) if place else None
    made = None
    if data is not None:
        try:
            made = use(*unseal(key, data))
        except FormatError:
            _counts.damaged += 1
            with suppress(OSError):
                os.remove(path)
    _counts.hits += program and made is not None
    _counts.misses += program and made is None
    _counts.bytes += len(data or b"")
    _counts.seconds += time.perf_counter() - start
    return made


def _content(path: str) -> bytes | None:
    """A file of this user's, if there is one; notes that it was used."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    try:
        with os.fdopen(handle, "rb", buffering=0) as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES or _mistrust(found):
                return None
            data = file.readall()
    except OSError:
        return None
    if abs(time.time() - found.st_mtime) > _HOUR:
        with suppress(OSError):
            os.utime(path)
    return data


# ---------------------------------------------------------------- writing


def write(key: str, header: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Keeps a header and parts under a key, if that can be done."""
    start = time.perf_counter()
    place = folder()
    if place is None:
        return
    data = seal(key, header, parts)
    try:
        _put(place, key, data)
    except OSError:
        _counts.unwritten += 1
    else:
        _counts.bytes += len(data)
        _counts.writes += 1
        if _counts.writes % 32 == 1:
            _tidy()
    _counts.seconds += time.perf_counter() - start


def _put(place: str, key: str, data: bytes) -> None:
    """Writes a file beside its place and renames it, so that others see it whole or not at all."""
    name = f"{key[:20]}.{os.getpid()}-{next(_numbers)}-{time.time_ns():x}{_TEMPORARY}"
    temporary = os.path.join(place, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(handle, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) or 0 :]
        os.replace(temporary, os.path.join(place, key + _SUFFIX))
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise


def _listed() -> list[tuple[str, os.stat_result]]:
    """The files in the folder that are ours."""
    place = folder()
    found = []
    if place is not None:
        with suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.endswith((_SUFFIX, _TEMPORARY)):
                    with suppress(OSError):
                        found.append((entry.path, entry.stat(follow_symlinks=False)))
    return found


def _tidy() -> None:
    """Removes what a stopped process left behind, and what was used longest ago if all is much."""
    files = sorted(_listed(), key=lambda f: f[1].st_mtime, reverse=True)
    old = time.time() - _HOUR
    total = 0
    for path, found in files:
        total += found.st_size
        left = path.endswith(_TEMPORARY) and found.st_mtime < old
        if left or total > MOST_BYTES:
            total -= found.st_size
            with suppress(OSError):
                os.remove(path)
