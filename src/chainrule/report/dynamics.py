"""How the predictions for the same few rows change while a model learns.

`Batch` is a callback; the file predictions.json of a run keeps what it saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError
from .charts import Chart, Heat, said
from .moments import Moments, probabilities
from .notebook import chart_html

if TYPE_CHECKING:
    from ..train import Trainer

FILE = "predictions.json"
ROWS, MOST_COLUMNS = 24, 8


class Batch(Moments):
    """Notes what the model gives the true class: `Trainer(..., callbacks=[Batch(x, y)])`.

    x, true: the rows (N, ...) and their classes (N,); what: which rows they are; names: of the
    classes, for the notebook, which shows rows by moments.

    >>> import chainrule
    >>> from chainrule import data, nn, optim
    >>> from chainrule.train import Trainer
    >>> _ = chainrule.manual_seed(0)
    >>> x, y = data.moons(40, seed=0)
    >>> model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> seen = Batch(x[:5], y[:5])
    >>> loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(model.parameters(), 0.1)
    >>> _ = Trainer(model, loss, optimizer, callbacks=[seen]).fit((x, y), epochs=3)
    >>> seen
    Batch(4 pictures, step 0 to 6)
    >>> seen._repr_html_().count("<svg")
    1
    """

    file = FILE

    def __init__(
        self, x: Any, true: Any, what: str = "of the rows", names: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.x, self.true, self.what = x, np.asarray(true), what
        self.names = tuple(names)
        if self.true.shape != (len(x),):
            raise ShapeError("Batch: true must be a class for each row", expected=f"({len(x)},)",
                             got=str(self.true.shape))  # fmt: skip

    def seen(self, trainer: Trainer) -> dict[str, Any]:
        """The probability of the true class, and the class predicted."""
        p = probabilities(trainer.model, self.x)
        given = p[np.arange(len(self.true)), self.true]
        return {"given": [float(f"{v:.4g}") if np.isfinite(v) else None for v in given],
                "predicted": p.argmax(1).tolist()}  # fmt: skip

    def header(self) -> dict[str, Any]:
        """The classes of the rows."""
        return {"what": self.what, "true": self.true.tolist()}

    def shown(self) -> str:
        """The chart of the rows by moments."""
        return chart_html(chart(self.as_data(), self.names))


def chart(data: dict[str, Any], names: tuple[str, ...]) -> Chart:
    """Rows by moments, the latest learned on top."""
    frames, true = data["frames"], data["true"]
    steps = [float(f["step"]) for f in frames]
    given = [[f["given"][i] for f in frames] for i in range(len(true))]
    order = sorted(range(len(true)), key=lambda i: sum(v or 0.0 for v in given[i]))
    labels = [f"row {i}: {names[t] if t < len(names) else t}" for i, t in enumerate(true)]
    some = sorted({round(k * (len(frames) - 1) / (MOST_COLUMNS - 1)) for k in range(MOST_COLUMNS)})
    right = [sum(p == t for p, t in zip(f["predicted"], true, strict=True)) for f in frames]
    changed = sum(len({f["predicted"][i] for f in frames[len(frames) // 2 :]}) > 1
                  for i in range(len(true)))  # fmt: skip
    last = order[0]
    return Chart(
        "dynamics", f"Of {len(true)} fixed rows {right[0]} are right at first, {right[-1]} at last",
        f"Right at steps {', '.join(str(f['step']) for f in frames)}: "
        f"{', '.join(map(str, right))}.",
        f"The probability that the model gives to the true class of the same {len(true)} rows, "
        f"the first {data['what']}, at moments of the training. The row that was learned last "
        "stands on top.",
        "Rows brighten one after the other and stay bright. A row that flickers lies near the "
        "boundary; one that stays dark may be labelled wrong.",
        f"The hardest is {labels[last].replace(':', ' of class')}: it ends at "
        f"{said(given[last][-1], 3)}. In the second half the class of {changed} rows "
        "still changed.",
        ["row", *(f"step {frames[k]['step']}" for k in some)],
        [[labels[i], *(given[i][k] for k in some)] for i in range(len(true))],
        Heat("step", "row", "p(true)", steps, [labels[i] for i in order],
             [given[i] for i in order], powers=False),
    )  # fmt: skip
