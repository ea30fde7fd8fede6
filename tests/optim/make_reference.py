"""Freezes what torch computes for optim_cases.py, in float64.

Run: python tests/optim/make_reference.py   (needs the [reference] extra)
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402
from optim_cases import entries  # noqa: E402

from frozen import freeze  # noqa: E402

found, notes = entries(torch)
freeze(HERE / "reference.npz", found, {"torch": torch.__version__, **notes})
