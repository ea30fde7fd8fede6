"""Metric: what all measures share."""

from __future__ import annotations

from typing import Any, ClassVar

from ...errors import StateError


class Metric:
    """Base of metrics: write `reset`, `update` and `compute`.

    `name` is how it is asked for and logged; `higher_is_better` says in which direction it is good,
    `share` whether its values lie from 0 to 1.
    """

    name: ClassVar[str] = ""
    higher_is_better: ClassVar[bool] = True
    share: ClassVar[bool] = False

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all batches."""
        raise NotImplementedError(f"{type(self).__name__} has no reset(): write one")

    def update(self, prediction: Any, target: Any) -> None:
        """Takes a batch in."""
        raise NotImplementedError(f"{type(self).__name__} has no update(): write one")

    def compute(self) -> Any:
        """The value over all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} has no compute(): write one")

    def _need(self, count: int, least: int = 1) -> int:
        if count < least:
            raise StateError(
                f"{self.name}: too few examples for a value",
                expected=f"at least {least}",
                got=str(count),
                fix="update(prediction, target) before compute()",
            )
        return count

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
