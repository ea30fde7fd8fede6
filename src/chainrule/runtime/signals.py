"""Ctrl-C while machine code runs: it ends after a whole step, with everything counted."""

from __future__ import annotations

import signal
import threading
from _signal import signal as set_handler  # type: ignore[import-not-found]
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


def unbroken(stop: Callable[[], None], run: Callable[[], T]) -> T:
    """run(), in which Ctrl-C calls `stop`; KeyboardInterrupt is raised when it has ended.

    Only where Python's own handler would raise it: a handler of the user's is left alone.
    """
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        stop()

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return run()
    try:  # handlers are set by a function in C: nothing is raised between its call and its effect
        set_handler(signal.SIGINT, note)
        result = run()
    finally:
        set_handler(signal.SIGINT, signal.default_int_handler)
    if asked:
        raise KeyboardInterrupt
    return result
