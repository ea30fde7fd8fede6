"""Who takes part, by the names that the tables show, and what each must import."""

from __future__ import annotations

from collections.abc import Iterable

MODULES: dict[str, tuple[str, ...]] = {
    "torch": ("torch",),
    "torch tuned": ("torch",),
    "torch.compile": ("torch",),
    "jax jit": ("jax",),
    "jax scan": ("jax",),
    "tinygrad": ("tinygrad", "tinygrad.nn.optim"),
    "sklearn": ("sklearn.neural_network",),
    "numpy": ("numpy",),
    "chainrule eager": ("chainrule",),
    "chainrule step": ("chainrule", "llvmlite.binding"),
    "chainrule loop": ("chainrule", "llvmlite.binding"),
}
SLOW = ("torch.compile",)  # takes part only where it is asked for
ON_DISK = ("torch.compile", "tinygrad", "chainrule step", "chainrule loop")  # keep what they built
BASES = ("chainrule loop", "chainrule step", "chainrule eager")  # who the others are measured by


def chosen(only: Iterable[str] | None, with_slow: bool) -> list[str]:
    """The contestants whose name or first word was asked for; all of them by default."""
    wanted = list(only or [])
    unknown = [w for w in wanted if w not in MODULES and w not in {n.split()[0] for n in MODULES}]
    if unknown:
        raise SystemExit(f"no contestant is called {', '.join(unknown)}: {', '.join(MODULES)}")
    return [
        name
        for name in MODULES
        if (name in wanted or name.split()[0] in wanted if wanted else True)
        and (with_slow or name in wanted or name not in SLOW)
    ]
