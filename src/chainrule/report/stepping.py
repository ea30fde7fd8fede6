"""What the optimizer would do next: the largest step of each layer's parameters, as a table."""

from __future__ import annotations

from ..derivation.models import Steps
from .charts import Chart, said


def chart(steps: Steps, step: int) -> Chart:
    """The entries with what the optimizer keeps of them.  step: of the checkpoint."""
    largest = max(steps.entries, key=lambda e: abs(e.step))
    return Chart(
        "optimizer", f"The largest next step, {said(largest.step, 3)}, is that of {largest.name}",
        f"{steps.said} Weights and optimizer are those of the last checkpoint, step {step}.",
        "For each parameter the entry that moves most: its value, its gradient on the first batch "
        "of the rows learned from, what the optimizer keeps of it after the step, and the step.",
        "Steps of similar size in all layers, small beside the values. An entry that moves far on "
        "a small gradient does so by what the optimizer keeps: chainrule explain RUN --optimizer "
        "--weight NAME derives it.",
        f"{largest.name} is {said(largest.value, 3)}; its gradient is {said(largest.gradient, 3)}.",
        steps.columns, steps.rows(),
    )  # fmt: skip
