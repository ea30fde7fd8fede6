"""A tensor in a notebook: its facts, its values, how they are spread."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import GradError
from ..graph.node import Node
from ..markup import BLUE, block, escape, number, picture, size_text, table
from ..ops.core import current, quietly
from .show import tensor_text

BINS, WIDTH, HEIGHT = 24, 360, 90
FEWEST = 8
"""Below this many numbers a histogram says less than the numbers."""


def tensor_html(t: Any) -> str:
    """Static HTML with the values as text, and a histogram where there are many."""
    value = t._value
    text = f"<pre>{escape(tensor_text(t))}</pre>"
    kind = type(t).__name__
    if current.trace is not None or isinstance(value, Node):
        return block(kind, text)
    facts = [
        ("shape", str(tuple(value.shape))), ("dtype", value.dtype.name),
        ("memory", size_text(value.nbytes)),
        ("gradient", _gradient(t)),
    ]  # fmt: skip
    finite = value[np.isfinite(value)] if value.dtype.kind == "f" else value
    spread = ""
    if value.size and value.dtype.kind in "fiu":
        odd = value.size - finite.size
        if odd:
            facts.append(("not finite", f"{odd} of {value.size}"))
        if finite.size:
            low, high = float(finite.min()), float(finite.max())
            with quietly():
                mean = float(finite.mean(dtype=np.float64))
            facts.append(("from, mean, to", f"{number(low)}, {number(mean)}, {number(high)}"))
            if finite.size >= FEWEST and 0 < high - low < np.inf:
                spread = histogram(finite)
    return block(kind, table(("what", "value"), facts), spread, text)


def _gradient(t: Any) -> str:
    if t.grad_fn is not None:
        return f"from {t.grad_fn.op.name}"
    if not t.requires_grad:
        return "not wanted"
    try:
        return "wanted, none yet" if t.grad is None else f"norm {number(_norm(t.grad))}"
    except GradError:
        return "wanted, and not kept"


def _norm(g: Any) -> float:
    return float(np.linalg.norm(np.asarray(g.detach(), np.float64)))


def histogram(values: Any) -> str:
    """How many numbers lie where, as bars."""
    counts, edges = np.histogram(values.astype(np.float64).ravel(), BINS)
    top = int(counts.max())
    wide = WIDTH / BINS
    bars = [
        f'<rect x="{i * wide + 0.5:.1f}" y="{HEIGHT * (1 - n / top):.1f}" width="{wide - 1:.1f}" '
        f'height="{HEIGHT * n / top:.1f}" fill="{BLUE}"/>'
        for i, n in enumerate(counts.tolist())
    ]
    most = int(counts.argmax())
    says = (
        f"{values.size} numbers from {number(edges[0])} to {number(edges[-1])}; "
        f"most, {top}, between {number(edges[most])} and {number(edges[most + 1])}"
    )
    labels = (
        f'<text x="0" y="{HEIGHT + 16}">{number(edges[0])}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 16}" text-anchor="end">{number(edges[-1])}</text>'
    )
    drawn = picture(WIDTH, HEIGHT + 20, "How the values are spread", says, *bars, labels)
    return f"<figure>{drawn}<figcaption>{escape(says)}</figcaption></figure>"
