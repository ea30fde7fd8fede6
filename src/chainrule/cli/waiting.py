"""Progress of what lasts longer than a second, as a command shows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ..train.progress import Bar
from .terminal import detect


class Progress(Protocol):
    """How far it is: done, in all (None: nobody knows), and what else there is to say."""

    def __call__(self, done: int, total: int | None, note: str = "") -> None: ...


@contextmanager
def waiting(what: str, unit: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Gives a function to call with (done, in all), which shows that on stderr.

    what: what is worked on; unit: what is counted; quiet: nothing is shown.  In a terminal there
    is a bar, cleared at the end; in a pipe, under CI and with TERM=dumb a line every ten seconds.
    """
    t = detect(sys.stderr)
    with Bar(what, unit, live=t.live and not quiet, lines=not quiet, colour=t.colour) as bar:
        yield bar.at
