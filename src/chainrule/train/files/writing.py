"""Files that are whole or not there: the one way in which Chainrule writes.

A file is written under a temporary name in the folder where it belongs, brought to the disk, and
renamed over the old one; then the folder is brought to the disk.  Whenever the program or the
machine stops, the path holds the old content or the new, never a mix.  What a stopped program left
behind is removed by `sweep` at the next start.

Every operation on the disk goes through `disk`, so that tests can fail or stop after any of them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from io import BufferedReader
from itertools import count
from typing import Any, TypeVar

from ...errors import ArgumentError, ChainruleError, FormatError, OutputError

if not hasattr(os, "statvfs"):  # Windows; elsewhere `import chainrule` is 5 ms faster without
    import shutil

Path = str | os.PathLike[str]
AnyOSError = TypeVar("AnyOSError", bound=OSError)

FOREIGN_AGE_S = 24 * 3600.0
"""The age from which a temporary file of another machine counts as left behind."""


class InputError(ChainruleError, OSError):
    """A file or folder that can't be read."""


class MissingFileError(InputError, FileNotFoundError):
    """A file to be read that is not there."""


class Disk:
    """The operations on files that this package uses; tests put a failing one in its place."""

    def create(self, path: str, mode: int | None) -> int:
        """A new file for writing; mode None means what the umask allows."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags, 0o666 if mode is None else mode)
        if mode is not None:
            os.chmod(path, mode)
        return handle

    def device(self, path: str) -> int:
        """A device or a pipe for writing."""
        return os.open(path, os.O_WRONLY)

    def append(self, path: str) -> int:
        """A file to which lines are added, made if it isn't there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        return os.open(path, flags, 0o666)

    def write(self, handle: int, data: Any) -> int:
        """Writes the first of the data; says how many bytes."""
        return os.write(handle, data)

    def truncate(self, handle: int, size: int) -> None:
        """Cuts a file off."""
        os.ftruncate(handle, size)

    def sync(self, handle: int) -> None:
        """Returns when the file's content is on the disk."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Ends the work on a file."""
        os.close(handle)

    def rename(self, old: str, new: str) -> None:
        """Puts a file in another's place, in one step."""
        os.replace(old, new)

    def sync_folder(self, path: str) -> None:
        """Returns when the names in a folder are on the disk."""
        if os.name == "nt":  # a folder can't be opened there, and NTFS keeps its own journal
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: str) -> None:
        """Takes a file away."""
        os.remove(path)

    def make_folder(self, path: str) -> None:
        """Makes a folder and those above it, where they are missing."""
        os.makedirs(path, exist_ok=True)

    def new_folder(self, path: str) -> None:
        """Makes a folder that must not be there yet."""
        os.mkdir(path)

    def remove_folder(self, path: str) -> None:
        """Takes an empty folder away."""
        os.rmdir(path)

    def free_bytes(self, path: str) -> int:
        """How much can be written to the disk on which a folder lies."""
        if not hasattr(os, "statvfs"):
            return shutil.disk_usage(path).free
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def open(self, path: str) -> BufferedReader:
        """A file for reading."""
        return open(path, "rb")

    def list_folder(self, path: str) -> list[str]:
        """What a folder holds."""
        return os.listdir(path)


disk = Disk()


# ---------------------------------------------------------------- writing

_numbers = count()
_active: set[str] = set()
_HOST = re.sub(r"\W", "", os.uname().nodename if hasattr(os, "uname") else "") or "host"
_TEMPORARY = re.compile(r"\..+\.(?P<host>\w+)-(?P<pid>\d+)-\d+\.tmp")


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; OutputError leaves the old one as it was."""
    write_parts(path, [data])


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text in UTF-8."""
    write_parts(path, [text.encode()])


def write_parts(path: Path, parts: Sequence[Any]) -> None:
    """`write_bytes` of parts that lie behind one another, without copying them together.

    Symbolic links are followed; a file that is replaced hands on its permissions, a new one has
    what the umask allows; a device or a pipe stays one and gets the bytes.
    Raises OutputError with the path, the bytes needed and the bytes free.
    """
    target = os.path.realpath(os.fspath(path))
    folder, name = os.path.split(target)
    temporary = _temporary(folder, name)
    need = sum(len(p) for p in parts)
    _active.add(temporary)
    try:
        if os.path.isdir(target):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
        if os.path.exists(path) and not os.path.isfile(path):
            _write_parts_to(disk.device(os.fspath(path)), parts)
            return
        _write_temporary(temporary, target, parts)
        disk.rename(temporary, target)
        disk.sync_folder(folder)
    except OSError as error:
        _discard(temporary)
        raise _output_error(path, error, need) from error
    except BaseException:  # Ctrl-C: leave nothing behind
        _discard(temporary)
        raise
    finally:
        _active.discard(temporary)


def _temporary(folder: str, name: str) -> str:
    return os.path.join(folder, f".{name[:100]}.{_HOST}-{os.getpid()}-{next(_numbers)}.tmp")


def write_folder(path: Path, fill: Callable[[str], None]) -> bool:
    """A new folder that is there when fill(its path so far) is done; False where a name is taken.

    Raises OutputError where it can't be written; then there is no folder, or one that is whole and
    was not brought to the disk.
    """
    target = os.path.realpath(os.fspath(path))
    folder, name = os.path.split(target)
    temporary = _temporary(folder, name)
    _active.add(temporary)
    moved = False
    try:
        disk.new_folder(temporary)
        fill(temporary)
        moved = _moved(temporary, target)
        if moved:
            disk.sync_folder(folder)
    except OSError as error:
        raise _output_error(path, error, None, "make") from error
    finally:
        _active.discard(temporary)
        if not moved:
            _discard(temporary)
    return moved


def _moved(temporary: str, target: str) -> bool:
    """Puts a folder in its place; False where there is one with something in it."""
    try:
        disk.rename(temporary, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY) or (
            os.name == "nt" and os.path.isdir(target)
        ):
            return False
        raise
    return True


def _write_temporary(temporary: str, target: str, parts: Iterable[Any]) -> None:
    mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else None
    _write_parts_to(disk.create(temporary, mode), parts, sync=True)


def _write_parts_to(handle: int, parts: Iterable[Any], *, sync: bool = False) -> None:
    try:
        for part in parts:
            _write_all(handle, part)
        if sync:
            disk.sync(handle)
    finally:
        disk.close(handle)


def _write_all(handle: int, data: Any) -> None:
    view = memoryview(data)
    while len(view):
        view = view[disk.write(handle, view) :]


def _discard(temporary: str) -> None:
    with suppress(OSError):  # it was never made, or the disk is gone: the next sweep finds it
        if not os.path.isdir(temporary):
            disk.remove(temporary)
            return
        for name in os.listdir(temporary):
            disk.remove(os.path.join(temporary, name))
        disk.remove_folder(temporary)


def remove_file(path: Path) -> None:
    """Takes a file away, if it is there."""
    try:
        disk.remove(os.fspath(path))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _output_error(path, error, None, "remove") from error


def append_line(path: Path, line: str) -> None:
    """Adds one line to a file, whole or not at all, and hands it to the operating system.

    The rest of a line that an earlier program did not finish is cut off first.
    """
    if "\n" in line:
        raise ArgumentError("append_line: one line at a time", got=f"{line.count(chr(10)) + 1}")
    data = line.encode() + b"\n"
    try:
        handle = disk.append(os.fspath(path))
        try:
            end = _end_of_lines(handle)
            try:
                _write_all(handle, data)
            except BaseException:
                disk.truncate(handle, end)
                raise
        finally:
            disk.close(handle)
    except OSError as error:
        raise _output_error(path, error, len(data)) from error


def _end_of_lines(handle: int) -> int:
    """The size of a file after cutting off what follows its last line end."""
    size = end = os.lseek(handle, 0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        os.lseek(handle, start, os.SEEK_SET)
        at = os.read(handle, end - start).rfind(b"\n")
        end = start + at + 1 if at >= 0 else start
        if at >= 0:
            break
    if end != size:
        disk.truncate(handle, end)
    return end


def _output_error(path: Path, error: OSError, need: int | None, verb: str = "write") -> OutputError:
    folder = os.path.realpath(os.fspath(path))
    folder = folder if os.path.isdir(folder) else os.path.dirname(folder)
    full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None))
    fix = None
    if not os.path.isdir(folder):
        fix = f"make the folder {folder}, or choose another path"
    elif full:
        fix = "make space, or choose a path on another disk"
    out = OutputError(
        f"can't {verb} {os.fspath(path)}: {error.strerror or error}",
        expected=f"{need:,} bytes to be written" if need is not None else None,
        got=_free_text(folder),
        fix=fix or "choose a folder that you may write to",
    )
    return _filled(out, error, os.fspath(path))


def _free_text(folder: str) -> str | None:
    try:
        return f"{disk.free_bytes(folder):,} bytes free"
    except OSError:
        return None


def check_writable(folder: Path, need_bytes: int = 0) -> None:
    """Raises OutputError unless `need_bytes` can be written into a folder: ask before training.

    Makes the folder if it isn't there, removes what a stopped program left in it, and tries a file.
    A run needs the space of three checkpoints: those kept, and the one being written.
    """
    where = os.path.realpath(os.fspath(folder))
    try:
        disk.make_folder(where)
        sweep(where)
        probe = _temporary(where, "probe")
        try:
            _write_temporary(probe, probe, [b"x"])
        finally:
            _discard(probe)
        free = disk.free_bytes(where)
    except OSError as error:
        raise _output_error(os.path.join(folder, ""), error, need_bytes) from error
    if free < need_bytes:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise _output_error(os.path.join(folder, ""), full, need_bytes)


def sweep(folder: Path) -> list[str]:
    """Removes temporary files and folders that stopped programs left in a folder; their names."""
    swept = []
    for name in names_in(folder):
        path = os.path.join(os.path.realpath(os.fspath(folder)), name)
        found = _TEMPORARY.fullmatch(name)
        if found and path not in _active and _is_left_behind(path, found["host"], found["pid"]):
            _discard(path)
            swept.append(name)
    return swept


def _is_left_behind(path: str, host: str, pid: str) -> bool:
    if host == _HOST and os.name != "nt":
        if int(pid) == os.getpid():
            return True
        try:
            os.kill(int(pid), 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:  # somebody else's program
            return False
        return False
    try:
        return time.time() - os.stat(path).st_mtime > FOREIGN_AGE_S
    except FileNotFoundError:
        return False


# ---------------------------------------------------------------- reading


@contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """A file for reading; MissingFileError suggests the nearest name in the folder.

    Raises InputError where the disk fails, when the file is opened or while it is read.
    """
    text = os.fspath(path)
    try:
        with disk.open(text) as file:
            yield file
    except FileNotFoundError as error:
        folder, name = os.path.split(text)
        near = nearest_file(name, _neighbours(folder or "."))
        fix = f"did you mean {os.path.join(folder, near)}?" if near else None
        raise _filled(MissingFileError(f"there is no file {text}", fix=fix), error, text) from error
    except IsADirectoryError:
        raise FormatError(f"{text} is a folder", expected="a file") from None
    except OSError as error:
        raise _input_error(text, error) from error


def names_in(folder: Path) -> list[str]:
    """What a folder holds, sorted; nothing where there is no such folder."""
    try:
        return sorted(disk.list_folder(os.fspath(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _input_error(os.fspath(folder), error) from error


def nearest_file(name: str, others: Sequence[str]) -> str | None:
    """The name that is most alike, None where none is near.

    What stands before the ending must be alike by itself: `e.st` is not near to `nope.st`.
    """
    stem = os.path.splitext(name)[0]
    near = [n for n in others if get_close_matches(stem, [os.path.splitext(n)[0]])]
    found = get_close_matches(name, near, 1, cutoff=0.0)
    return found[0] if found else None


def _neighbours(folder: str) -> list[str]:
    try:
        return names_in(folder)
    except InputError:
        return []


def _input_error(path: str, error: OSError) -> InputError:
    fix = "permission to read it" if isinstance(error, PermissionError) else "another copy of it"
    out = InputError(f"can't read {path}: {error.strerror or error}", fix=fix)
    return _filled(out, error, path)


def _filled(out: AnyOSError, error: OSError, path: str) -> AnyOSError:
    """An error of ours with what programs read from an OSError."""
    out.errno, out.strerror, out.filename = error.errno, error.strerror, path
    return out


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
