"""Writes golden/*.txt: the graph of each program of `shown`, and its loops on one processor.

python tests/compiler/make_golden.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from compiler.shown import SHOWN
from compiler.test_golden import FOLDER, golden

if __name__ == "__main__":
    for name, f in SHOWN.items():
        (FOLDER / f"{name}.txt").write_text(golden(f), encoding="utf-8")
