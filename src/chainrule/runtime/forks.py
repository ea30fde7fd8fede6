"""What the child of a fork finds: locks that other threads held are open again.

Only the thread that forked lives on in the child, so nobody would ever open them.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Renewed(Protocol):
    """Something with locks: `renew` makes new ones, and forgets what nobody will finish."""

    def renew(self) -> None:
        """Called in the child."""


_known: WeakSet[Renewed] = WeakSet()


def renew_in_children(owner: Renewed) -> None:
    """From now on `owner.renew()` is called in the child of every fork."""
    _known.add(owner)


class Locked:
    """A lock that is open in the child of a fork: `with held.lock`."""

    def __init__(self) -> None:
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """A new lock."""
        self.lock = threading.Lock()


def _renew() -> None:
    for owner in list(_known):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
