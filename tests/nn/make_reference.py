"""Freezes what torch computes for nn_cases.py and clipping, and how its modules print.

Run: python tests/nn/make_reference.py   (needs the [reference] extra)
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import module_cases  # noqa: E402
import torch  # noqa: E402
from nn_cases import CASES  # noqa: E402

from frozen import freeze_cases  # noqa: E402

notes = {
    "torch": torch.__version__,
    "prints": {name: repr(make(torch)) for name, make in module_cases.PRINTS.items()},
    "states": {
        name: [[k, list(v.shape)] for k, v in make(torch).state_dict().items()]
        for name, make in module_cases.STATES.items()
    },
}
freeze_cases(HERE / "reference.npz", CASES + module_cases.CLIPS, torch, notes)
