"""An optimizer in a notebook: for each parameter its gradient, its state, and the next step."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GradError
from ..markup import block, escape, folded, number, table
from ..ops.core import current
from ..tensor.core import Tensor

if TYPE_CHECKING:
    from .optimizer import Optimizer

READ = (
    "Numbers are root mean squares of a tensor's elements, and the number itself where there is "
    "one. The next step is what step() would change now; 1e-4 to 1e-2 of the value is usual."
)


def optimizer_html(optimizer: Optimizer) -> str:
    """Static HTML; the optimizer and its parameters stay as they are."""
    text = folded("settings", f"<pre>{escape(repr(optimizer))}</pre>")
    name = type(optimizer).__name__
    if current.trace is not None:
        return block(name, text)
    groups = optimizer.param_groups
    slots = list(dict.fromkeys(s for g in groups for s in optimizer.slots_of(g)))
    moved = next_step(optimizer)
    rows = []
    for i, group in enumerate(groups):
        for j, p in enumerate(group["params"]):
            state = optimizer.state.get(p) or {}
            change = moved.get(id(p))
            rows.append((
                optimizer._names.get(p, f"group {i}, place {j}"), str(tuple(p.shape)),
                f"{float(group['lr']):.4g}", size(p), size(gradient(p)), *(size(state.get(s))
                for s in slots), "none" if change is None else size(change),
                _share(change, p), str(state.get("step", 0)) if optimizer.counts else "not counted",
            ))  # fmt: skip
    head = ("parameter", "shape", "lr", "value", "gradient", *slots, "next step", "next / value",
            "steps")  # fmt: skip
    return block(name, table(head, rows, READ, numbers=range(2, len(head))), text)


def next_step(optimizer: Optimizer) -> dict[int, Any]:
    """What step() would add to each parameter that has a gradient, by id: a copy makes it."""
    twin = copy.deepcopy(optimizer)
    found = {}
    pairs = [
        (p, q)
        for mine, other in zip(optimizer.param_groups, twin.param_groups, strict=True)
        for p, q in zip(mine["params"], other["params"], strict=True)
    ]
    for p, q in pairs:
        g = gradient(p)
        q.grad = None if g is None else g.detach().clone()
    twin.step()
    for p, q in pairs:
        if q.grad is not None:
            found[id(p)] = q.detach().numpy().astype(np.float64) - p.detach().numpy()
    return found


def gradient(p: Tensor) -> Tensor | None:
    """The gradient that is there; a compiled step keeps none."""
    try:
        return p.grad
    except GradError:
        return None


def size(value: Any) -> str:
    """The root mean square of a tensor; one number as it is; words where there is none."""
    if value is None:
        return "none yet"
    flat = np.ravel(value.detach().numpy() if isinstance(value, Tensor) else value)
    if flat.size == 1:
        return number(float(flat[0]))
    return number(_rms(flat)) if flat.size else "empty"


def _rms(a: Any) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.mean(np.square(np.asarray(a, np.float64)))))


def _share(change: Any, p: Tensor) -> str:
    """The step's size as a share of the value's."""
    if change is None or not change.size:
        return ""
    value = _rms(p.detach().numpy())
    share = _rms(change) / value if value else math.inf
    return number(share) if math.isfinite(share) else "from 0"
