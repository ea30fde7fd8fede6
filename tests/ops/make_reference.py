"""Writes reference.npz: what PyTorch gives for pointwise ops at edge values and for integers.

Run `python -m tests.ops.make_reference` where torch is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from chainrule import ops

from .edges import INTEGERS, edge_inputs, integer_inputs

FILE = Path(__file__).with_name("reference.npz")
NAMES = {"floor_div": lambda a, b: torch.div(a, b, rounding_mode="floor"),
         "detach": torch.Tensor.detach,
         "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x))}  # fmt: skip


def counterpart(name: str) -> Any:
    return NAMES.get(name) or getattr(torch, name, None)


def main() -> None:
    kept: dict[str, Any] = {"versions": np.array(f"torch {torch.__version__}")}
    for op in ops.REGISTRY.values():
        function = counterpart(op.name)
        if not op.pointwise or function is None:
            continue
        arity = len(op.input_names)
        for dtype in ("float64", "float32"):
            inputs = [torch.from_numpy(x) for x in edge_inputs(arity, dtype)]
            leaves = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
            y = function(*leaves)
            kept[f"{op.name}/{dtype}/y"] = y.detach().numpy()
            if y.requires_grad:
                y.backward(torch.ones_like(y))
                for i, x in enumerate(leaves):
                    if x.grad is not None:
                        kept[f"{op.name}/{dtype}/d{i}"] = x.grad.numpy()
        for dtype in INTEGERS:
            try:
                y = function(*(torch.from_numpy(x) for x in integer_inputs(arity, dtype)))
                kept[f"{op.name}/{dtype}/y"] = y.numpy()
            except (RuntimeError, TypeError) as error:
                kept[f"{op.name}/{dtype}/y"] = np.array(type(error).__name__)
    np.savez_compressed(FILE, **kept)


if __name__ == "__main__":
    main()
