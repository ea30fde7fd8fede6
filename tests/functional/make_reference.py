"""Freezes what torch computes for functional_cases.py.

Run: python tests/functional/make_reference.py   (needs the [reference] extra)
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import torch  # noqa: E402
from functional_cases import CASES  # noqa: E402

from frozen import freeze_cases  # noqa: E402

freeze_cases(HERE / "reference.npz", CASES, torch, {"torch": torch.__version__})
