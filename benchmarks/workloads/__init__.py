"""One file a workload: the same model for every library that can run it."""

from __future__ import annotations

import importlib
from typing import Any

STEPS = (
    "seed", "snippet", "nielsen", "rl", "table", "mlp", "wide", "cnn", "gpt", "lstm",
    "simplechains", "microgpt",
)  # fmt: skip
GRIDS = ("rxla",)
SHORT = ("seed", "snippet", "nielsen", "rl", "lstm", "microgpt", "rxla")


def load(name: str) -> Any:
    """The workload of a file in this folder."""
    return importlib.import_module(f"workloads.{name}").WORKLOAD
