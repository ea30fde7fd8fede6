"""Single keypresses from a terminal, whose settings are put back on every way out."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from types import FrameType
from typing import Any

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]?|O.|.)?")
"""What arrows and function keys send: its letters are none that were pressed."""


class Keys:
    """Keys of one terminal, between `start` and `stop`: without Enter, and not echoed.

    Only the foreground of the terminal is asked, and only there are its settings touched: a job in
    the background would be stopped for it.  Ctrl-C stays a signal; for Ctrl-Z the settings are put
    back, and taken up again when the job is back in the foreground.

    handle: the file descriptor of the terminal.
    """

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.on = False
        self.before: list[Any] | None = None  # the terminal's settings, while they are changed
        self.waiting: deque[str] = deque()
        self.suspend_before: Any = None

    def start(self) -> None:
        """From now on keys can be read."""
        self.on = True
        if threading.current_thread() is threading.main_thread():
            self.suspend_before = signal.getsignal(signal.SIGTSTP)
            if self.suspend_before is signal.SIG_DFL:
                signal.signal(signal.SIGTSTP, self._suspend)
        self._enter()

    def stop(self) -> None:
        """Puts everything back; may be called again."""
        if not self.on:
            return
        self.on = False
        self._leave()
        if self.suspend_before is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)

    def read(self, wait_s: float = 0.0) -> str | None:
        """The next key in lower case; None where there is none within so many seconds."""
        if not self.waiting and self.on:
            if self._foreground():
                self._enter()
                self._fetch(wait_s)
            else:
                time.sleep(wait_s)
        return self.waiting.popleft() if self.waiting else None

    def _fetch(self, wait_s: float) -> None:
        if not select.select([self.handle], [], [], wait_s)[0]:
            return
        try:
            held = os.read(self.handle, 1024)
        except OSError:
            held = b""
        if not held:  # the terminal is gone
            self.stop()
        self.waiting.extend(ESCAPES.sub("", held.decode("ascii", "ignore")).lower())

    def _foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self.handle) == os.getpgrp()
        except OSError:  # not the terminal that controls this process: nobody is stopped for it
            return True

    def _enter(self) -> None:
        if self.before is not None or not self._foreground():
            return
        with suppress(termios.error):
            before = termios.tcgetattr(self.handle)
            changed = [*before[:6], list(before[6])]
            changed[3] &= ~(termios.ICANON | termios.ECHO)
            changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
            self.before = before
            termios.tcsetattr(self.handle, termios.TCSANOW, changed)

    def _leave(self) -> None:
        before, self.before = self.before, None
        if before is not None and self._foreground():
            with suppress(termios.error):  # flushes: what was typed here is not for the shell
                termios.tcsetattr(self.handle, termios.TCSAFLUSH, before)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: stops with the terminal as it was; `read` takes it up again."""
        self._leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)


def keys_of(live: bool) -> Keys | None:
    """The keys of the user's terminal; None where there are none to press, or no view to see.

    live: whether the view is redrawn on a terminal.  stdout has to be one, too: what reads it
    through a pipe, such as a pager, may want the keys for itself.
    """
    if termios is None or not live:
        return None
    try:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return Keys(sys.stdin.fileno())
    except (AttributeError, ValueError, OSError):  # closed, or none
        pass
    return None
