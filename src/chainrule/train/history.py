"""History: what every epoch gave, and how the fit ended."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError


class History:
    """One row an epoch; `history["loss"]` is a column.

    rows: dicts with epoch, step, loss, lr, grad_norm, seconds and, with validation data, val_loss
    and val_<metric>.  stopped: 'epochs', 'steps', 'converged', 'early stopping', 'interrupted',
    what a callback said, or 'failed' where a number was not finite.  interrupted: after Ctrl-C,
    SIGTERM or `trainer.interrupt` (`signal` says which); `message` then says how to go on.  watch:
    the Watch that looked on, if there was one.  advised_lr: the learning rate to try where it
    failed.

    >>> from chainrule.train import History
    >>> history = History([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    >>> history["loss"]
    [0.5, 0.25]
    """

    def __init__(self, rows: list[dict[str, Any]] | None = None) -> None:
        self.rows: list[dict[str, Any]] = [] if rows is None else rows
        self.stopped: str | None = None
        self.interrupted = False
        self.signal: str | None = None
        self.message: str | None = None
        self.watch: Any = None
        self.advised_lr: float | None = None

    def __getitem__(self, name: str) -> list[Any]:
        column = [row[name] for row in self.rows if name in row]
        if not column and self.rows:
            raise ArgumentError(f"History: no column {name!r}", expected=", ".join(self.rows[-1]))
        return column

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def last(self) -> dict[str, Any]:
        """The row of the last epoch, empty before the first."""
        return self.rows[-1] if self.rows else {}

    def _repr_html_(self) -> str:
        from .html import history_html

        return history_html(self)

    def __repr__(self) -> str:
        shown = {k: v for k, v in self.last.items() if isinstance(v, (int, float))}
        text = ", ".join(f"{k}={v:.4g}" for k, v in shown.items())
        return f"History({len(self.rows)} epochs, stopped={self.stopped!r}; {text})"
