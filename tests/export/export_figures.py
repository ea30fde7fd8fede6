"""The worst difference of each module from onnxruntime: `python tests/export/export_figures.py`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE.parent / "nn")]

from test_onnx import LISTED, difference  # noqa: E402


def main() -> None:
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in LISTED:
            name = case.name.split("(")[0]
            apart = difference(case, Path(folder) / "m.onnx")
            found[name] = max(found.get(name, 0.0), apart)
    print(f"{len(found)} modules, {len(LISTED)} cases, worst {max(found.values()):.1e}")
    for name, apart in sorted(found.items(), key=lambda pair: -pair[1]):
        print(f"{apart:8.1e}  {name}")


if __name__ == "__main__":
    main()
