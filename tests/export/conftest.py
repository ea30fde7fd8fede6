"""The registries of cases lie beside the tests of their own folders."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("nn", "functional"):
    sys.path.append(str(Path(__file__).parents[1] / folder))
