"""What Tensors can do by means of layers above this one: the front door says where that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

functions: dict[str, Callable[..., Any]] = {}
"""Name -> function, put here when the package is imported."""
