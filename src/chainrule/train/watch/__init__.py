"""Watching: what happens inside the layers while a Trainer trains, at a few steps, and its cost."""

from .look import Bins as Bins
from .look import Layer as Layer
from .look import Look as Look
from .look import looks_in as looks_in
from .look import read_looks as read_looks
from .probe import Probe as Probe
from .watch import Watch as Watch
