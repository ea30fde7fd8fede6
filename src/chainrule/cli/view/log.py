"""Facts as text that is never redrawn: a log line, or one fact a line for a screen reader."""

from __future__ import annotations

import math

from ...train.watch import Layer
from .draw import number
from .facts import Facts
from .trend import in_words


def log_line(f: Facts) -> str:
    """`epoch=34 loss=0.1084 val_loss=0.1192 .. worst=fc1:1.2e-03 look=1001 verdict=healthy`

    worst: the layer whose update:weight ratio is farthest from 1e-3, with that ratio.  look: the
    step at which that was seen.  What was not computed has no entry.
    """
    entries = [f"epoch={f.epoch}"]
    if f.loss.now is not None:
        entries.append(f"loss={number(f.loss.now)}")
    if f.val_loss.now is not None:
        entries.append(f"val_loss={number(f.val_loss.now)}")
    if f.val_acc.now is not None:
        entries.append(f"val_acc={f.val_acc.now:.3f}")
    entries.append(f"lr={f.lr:.4g}")
    layer = worst(f)
    if layer is not None:
        entries.append(f"worst={layer.name}:{layer.ratio:.1e}")
        entries += [] if f.moved_at is None else [f"look={f.moved_at}"]
    entries.append(f"verdict={f.verdict.name}")
    return " ".join(entries)


def worst(f: Facts) -> Layer | None:
    """The layer whose update:weight ratio is farthest from 1e-3, in powers of ten."""
    known = [x for x in f.layers if x.ratio is not None]
    return max(known, key=lambda x: _distance(x, f.lifted), default=None)


def _distance(layer: Layer, lifted: float) -> float:
    ratio = None if layer.ratio is None else layer.ratio * lifted
    return abs(math.log10(ratio) + 3) if ratio and math.isfinite(ratio) else math.inf


def facts_in_words(f: Facts) -> list[str]:
    """One fact a line, as sentences."""
    lines = [f"Epoch {f.epoch} of {f.epochs}, {f.progress * 100:.0f} per cent done."]
    for name, series in (("Training loss", f.loss), ("Validation loss", f.val_loss)):
        if series.now is not None:
            change = in_words(series.values, f.first_epoch).replace(
                " %/epoch", " per cent an epoch"
            )
            lines.append(f"{name} {number(series.now)}{', ' + change if change else ''}.")
    if f.val_acc.now is not None:
        lines.append(f"Validation accuracy {f.val_acc.now * 100:.1f} per cent.")
    lines.append(f"Verdict: {f.verdict.text.rstrip('.')}.")
    return lines
