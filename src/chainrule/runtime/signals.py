"""Ctrl-C while machine code runs: it ends after a whole step, with everything counted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType


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
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self.holds = True
            try:
                signal.signal(signal.SIGINT, self.note)
            except BaseException:  # another signal's handler, in between
                signal.signal(signal.SIGINT, signal.default_int_handler)
                raise

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal has come."""
        self.asked = True
        self.stop()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self.holds:
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            except BaseException:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                raise
        if self.asked and kind is None:
            raise KeyboardInterrupt
