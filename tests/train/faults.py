"""Disks that fail: the operations of `files.writing.disk`, with a fault at the k-th of them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from chainrule.train.files import writing

CHANGES = (
    "create", "append", "write", "truncate", "sync", "close", "rename", "sync_folder", "remove",
    "make_folder", "new_folder", "remove_folder",
)  # fmt: skip
READS = ("open", "list_folder")


class Crash(BaseException):
    """The program stopped here; nothing that it would have done afterwards happens."""


class FaultyDisk(writing.Disk):
    """Counts the operations in `counted`; `fault(name)` is called before number `at`."""

    counted: tuple[str, ...] = CHANGES

    def __init__(self, at=None):
        self.at, self.count, self.names = at, 0, []

    def fault(self, name, arguments):
        raise NotImplementedError

    def step(self, name, arguments):
        self.names.append(name)
        self.count += 1
        if self.at is not None and self.count - 1 == self.at:
            self.fault(name, arguments)


def _counted(name):
    operation = getattr(writing.Disk, name)

    def run(self, *arguments):
        if name in self.counted:
            self.step(name, arguments)
        result = operation(self, *arguments)
        self.done(name, arguments, result)
        return result

    return run


for _name in CHANGES + READS:
    setattr(FaultyDisk, _name, _counted(_name))
FaultyDisk.done = lambda self, name, arguments, result: None


class FailingDisk(FaultyDisk):
    """An operation fails as the operating system says it: after half of a write, if it is one."""

    def __init__(self, at=None, code=errno.ENOSPC, lasting=True):
        super().__init__(at)
        self.code, self.lasting, self.failed = code, lasting, False

    def step(self, name, arguments):
        full = self.failed and self.lasting and name in ("write", "create", "append")
        if full:
            raise OSError(self.code, os.strerror(self.code))
        super().step(name, arguments)

    def fault(self, name, arguments):
        self.failed = True
        if name == "write":
            handle, data = arguments
            os.write(handle, data[: len(data) // 2])
        raise OSError(self.code, os.strerror(self.code))

    def free_bytes(self, path):
        return 12345


class UnreadableDisk(FailingDisk):
    """The disk fails once, at a read."""

    counted = READS

    def __init__(self, at=None):
        super().__init__(at, errno.EIO, lasting=False)


class CrashingDisk(FaultyDisk):
    """The program stops before operation `at` (in the middle of it, if it is a write).

    Reading counts too.  `lose(model)` then does what a machine does to what was not brought to the
    disk: 'kept' nothing (a killed process); 'undone' renames that no folder sync followed, and
    empties unsynced files; 'empty' keeps the renames and empties unsynced files.
    """

    counted = CHANGES + READS

    def __init__(self, at=None):
        super().__init__(at)
        self.stopped = False
        self.paths, self.unsynced, self.renames = {}, set(), []

    def step(self, name, arguments):
        if self.stopped:
            raise Crash
        super().step(name, arguments)

    def fault(self, name, arguments):
        self.stopped = True
        if name == "write":
            handle, data = arguments
            os.write(handle, data[: len(data) // 2])
        raise Crash

    def rename(self, old, new):
        before = Path(new).read_bytes() if os.path.exists(new) else None
        super().rename(old, new)
        self.renames.append((old, new, before))
        if old in self.unsynced:
            self.unsynced = (self.unsynced - {old}) | {new}

    def done(self, name, arguments, result):
        if name in ("create", "append"):
            self.paths[result] = arguments[0]
            self.unsynced.add(arguments[0])
        elif name == "sync":
            self.unsynced.discard(self.paths[arguments[0]])
        elif name == "sync_folder":
            self.renames.clear()

    def lose(self, model):
        if model == "kept":
            return
        for path in self.unsynced:
            if os.path.exists(path):
                Path(path).write_bytes(b"")
        if model == "undone":
            for old, new, before in reversed(self.renames):
                os.replace(new, old)
                if before is not None:
                    Path(new).write_bytes(before)


MODELS = ("kept", "undone", "empty")
