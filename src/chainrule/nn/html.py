"""A module in a notebook: its layers, their settings, and where the parameters are."""

from __future__ import annotations

from typing import Any

from ..markup import BLUE, Raw, block, escape, folded, table

WIDTH = 120


def module_html(model: Any) -> str:
    """Static HTML: a table of the layers, with a bar for each one's share of the parameters."""
    seen: set[int] = set()
    rows = []
    listed = list(model.named_modules())
    counts = {id(m): _own(m, seen) for _, m in listed}
    total = sum(counts.values())
    for path, module in listed:
        n = counts[id(module)]
        extra = module.extra_repr()
        rows.append((path or "(the model)", type(module).__name__, extra.replace("\n", "; "),
                     f"{n:,}" if n else "", _bar(n, total)))  # fmt: skip
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    mode = "training" if model.training else "evaluation"
    title = f"{type(model).__name__}: {total:,} parameters, {learned:,} learned, {mode} mode"
    head = ("layer", "type", "settings", "parameters", "share")
    text = folded("as text", f"<pre>{escape(repr(model))}</pre>")
    return block(title, table(head, rows, numbers=(3,)), text)


def _own(module: Any, seen: set[int]) -> int:
    """Numbers in parameters of the module itself that no other has shown."""
    count = 0
    for _, p in module._own_parameters():
        if id(p) not in seen:
            seen.add(id(p))
            count += p.numel()
    return count


def _bar(n: int, total: int) -> str:
    if not n:
        return ""
    share = f"{100 * n / total:.1f} %"
    bar = (
        f'<svg width="{WIDTH}" height="12" aria-hidden="true">'
        f'<rect width="{max(WIDTH * n / total, 1):.1f}" height="12" fill="{BLUE}"/></svg> {share}'
    )
    return Raw(share, bar)
