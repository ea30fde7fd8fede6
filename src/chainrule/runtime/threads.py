"""How many threads compiled code runs on, and the threads themselves, parked while nothing runs.

A program is run by all its threads together: each calls the same function with its number.  The
caller is number 0; the others are ordinary Python threads that wait at a lock and enter machine
code through ctypes, which lets go of the interpreter.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError
from .forks import renew_in_children
from .signals import unbroken

VARIABLE = "CHAINRULE_NUM_THREADS"
WORK_A_THREAD = 200_000
"""Operations of a step that are worth a thread of their own, in a loop of many steps."""
WORK_OF_ONE_RUN = 4_000_000
"""The same for a single run, for which parked threads have to be woken."""


def available() -> int:
    """Processors that this process may use: its affinity, and the limit of its control group."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    limit = _group_limit()
    return max(1, min(count, limit) if limit else count)


def _group_limit() -> int | None:
    """Whole processors that a control group (Linux, containers) allows, if it limits them."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        quota_us = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period_us = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return max(1, quota_us // period_us) if quota_us > 0 else None
    except (OSError, ValueError):
        return None


class _Setting:
    """What was asked for; None until it is first needed."""

    count: int | None = None


def get_num_threads() -> int:
    """The most threads that a compiled program runs on."""
    if _Setting.count is None:
        asked = os.environ.get(VARIABLE, "").strip()
        if asked and (not asked.isdigit() or int(asked) < 1):
            raise ArgumentError(
                f"{VARIABLE}: the number of threads must be a whole number >= 1", got=repr(asked)
            )
        _Setting.count = int(asked) if asked else available()
    return _Setting.count


def set_num_threads(num: int) -> None:
    """Sets the most threads that a compiled program runs on; results are the same bits at any.

    num: >= 1.  The start value is CHAINRULE_NUM_THREADS, else the processors that this process may
    use.  Small programs run on fewer, because threads that wait for one another gain nothing.
    Raises ArgumentError below 1.

    >>> import chainrule
    >>> chainrule.set_num_threads(1)
    >>> chainrule.get_num_threads()
    1
    """
    if isinstance(num, bool) or not isinstance(num, int):
        raise ArgumentTypeError("set_num_threads: needs a whole number", got=repr(num))
    if num < 1:
        raise ArgumentError("set_num_threads: needs at least one thread", got=str(num))
    _Setting.count = num


def worthwhile(shared_work: int, each: int = WORK_A_THREAD) -> int:
    """How many threads a run with so many shared operations is given, one for `each`."""
    return max(1, min(get_num_threads(), shared_work // each))


# ---------------------------------------------------------------- the threads


class Worker:
    """A parked thread: runs one job after another."""

    def __init__(self) -> None:
        self.begin, self.done = threading.Lock(), threading.Lock()
        self.begin.acquire()
        self.done.acquire()
        self.job: Callable[[], object] = int
        name = "chainrule"
        threading.Thread(target=self.serve, name=name, daemon=True).start()

    def serve(self) -> None:
        """Waits for jobs for as long as the process lives."""
        while True:
            self.begin.acquire()
            self.job()
            self.job = int  # what has been run may go
            self.done.release()


class Pool:
    """Workers that are free."""

    def __init__(self) -> None:
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Nobody is there, as in the child of a fork."""
        self.lock = threading.Lock()
        self.free: list[Worker] = []

    def take(self, count: int) -> list[Worker]:
        """So many workers, new ones where too few are free."""
        with self.lock:
            taken = [self.free.pop() for _ in range(min(count, len(self.free)))]
        try:
            while len(taken) < count:
                taken.append(Worker())
        except BaseException:
            self.give_back(taken)
            raise
        return taken

    def give_back(self, workers: list[Worker]) -> None:
        """Parks workers again."""
        with self.lock:
            self.free += workers


pool = Pool()
ACQUIRE: Any = type(threading.Lock()).acquire
RELEASE: Any = type(threading.Lock()).release


def run_together(
    call: Callable[..., object], arguments: Sequence[tuple[Any, ...]], ran: list[Any] | None = None
) -> None:
    """call(*arguments[0]) here and the other calls on other threads, until all are done.

    call: machine code, which waits for all of them.  ran: grows by one, in one go with the call
    here.  A signal's handler may raise between two instructions: either none of the calls is made,
    or all are, to their end.
    """
    ran = [] if ran is None else ran
    before = len(ran)
    if len(arguments) == 1:
        ran.extend(starmap(call, arguments))  # no signal is handled within extend(starmap())
        return

    def together() -> None:
        workers = pool.take(len(arguments) - 1)
        begins, begun = [w.begin for w in workers], list[None]()
        for worker, given in zip(workers, arguments[1:], strict=True):
            worker.job = partial(call, *given)
        try:
            begun.extend(map(RELEASE, begins))
            ran.extend(starmap(call, arguments[:1]))
        finally:
            if begun and len(ran) == before:  # the others wait for this one
                ran.extend(starmap(call, arguments[:1]))
            if begun:
                _wait([w.done for w in workers])
            pool.give_back(workers)

    unbroken(lambda: None, together)


def _wait(locks: list[Any]) -> None:
    """Acquires all locks, whatever a signal's handler raises meanwhile."""
    got: list[bool] = []
    error: BaseException | None = None
    while len(got) < len(locks):
        try:
            for lock in locks[len(got) :]:
                got.extend(map(ACQUIRE, (lock,)))
        except BaseException as raised:
            error = raised
    if error is not None:
        raise error


def yielding() -> int:
    """The address of the system's function that lets another thread run."""
    if sys.platform == "win32":
        library: ctypes.CDLL = ctypes.WinDLL("kernel32")
        return ctypes.cast(library.SwitchToThread, ctypes.c_void_p).value or 0
    return ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value or 0
