"""Ctrl-C while machine code runs: it ends after a whole step, with everything counted."""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Callable
from types import FrameType

# Python's own versions look every number up as a member of an enumeration, at 5 us a call.
_get_handler = inspect.unwrap(signal.getsignal)
_set_handler = inspect.unwrap(signal.signal)


class Unbroken:
    """Within the block Ctrl-C calls `stop`; KeyboardInterrupt is raised where the block ends.

    Only where Python's own handler would raise it: a handler of the user's is left alone.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop
        self.asked = False
        self.holds = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if _get_handler(signal.SIGINT) is signal.default_int_handler:
            self.holds = True
            _set_handler(signal.SIGINT, self.note)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal has come."""
        self.asked = True
        self.stop()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self.holds:
            _set_handler(signal.SIGINT, signal.default_int_handler)
        if self.asked and kind is None:
            raise KeyboardInterrupt
