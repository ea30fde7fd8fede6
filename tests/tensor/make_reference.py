"""Writes reference.npz: what PyTorch gives for random programs and for mixed types.

Run `python -m tests.tensor.make_reference` where torch is installed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .expressions import MAKING, made
from .programs import PROGRAMS, draw_program, run
from .promotion import KINDS, NAMES, operand

FILE = Path(__file__).with_name("reference.npz")


def promotion() -> dict[str, str]:
    """The dtype in which each pair of operands meets, under add, with a Python number too."""
    table = {}
    for a in NAMES:
        for b in NAMES:
            for kinds in KINDS:
                x, y = operand(torch, a, kinds[0]), operand(torch, b, kinds[1])
                table[f"{kinds[0]} {a} + {kinds[1]} {b}"] = str((x + y).dtype).removeprefix(
                    "torch."
                )
        for number in (True, 2, 1.5):
            for kind in ("array", "scalar"):
                y = operand(torch, a, kind) + number
                table[f"{kind} {a} + {number!r}"] = str(y.dtype).removeprefix("torch.")
    return table


def main() -> None:
    kept: dict[str, Any] = {"versions": np.array(f"torch {torch.__version__}")}
    for seed in range(PROGRAMS):
        seen = run(torch, draw_program(seed))
        kept[f"{seed}/failed"] = np.array(-1 if seen["failed"] is None else seen["failed"])
        kept[f"{seed}/flags"] = np.array([seen["requires_grad"], seen["leaf"]])
        kept[f"{seed}/values"] = np.concatenate([v.reshape(-1) for v in seen["values"]])
        refused = seen["grads"] == "refused"
        grads = [] if refused else [np.zeros(0) if g is None else g for g in seen["grads"]]
        kept[f"{seed}/refused"] = np.array(refused)
        for i, g in enumerate(grads):
            kept[f"{seed}/grad{i}"] = g
    for text in MAKING:
        kept[f"made/{text}"] = made(torch, text).numpy()
    kept["promotion"] = np.array(json.dumps(promotion()))
    np.savez_compressed(FILE, **kept)


if __name__ == "__main__":
    main()
