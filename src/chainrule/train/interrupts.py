"""Ctrl-C, SIGTERM and SIGUSR1: the first ends after the step, a second Ctrl-C at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Within the block a signal is noted in `asked` instead of breaking off a step.

    Only in the main thread, where Python delivers signals; elsewhere nothing changes.  A second
    SIGINT raises KeyboardInterrupt.  SIGUSR1, by which schedulers of clusters announce the end, is
    noted where nobody else handles it.  The handlers of before come back at the end.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self.before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not None:  # None: set outside Python
                    self.before[number] = signal.signal(number, self.note)
            warning = getattr(signal, "SIGUSR1", None)  # there is none on Windows
            if warning is not None and signal.getsignal(warning) is signal.SIG_DFL:
                self.before[warning] = signal.signal(warning, self.note)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remembers the first signal."""
        if self.asked == "SIGINT" and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name
