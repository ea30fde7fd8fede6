"""What is known before the first step: which loss a guess without knowledge has, and the data."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...data import DataLoader, Subset
from ...data.dataset import in_memory
from ...tensor.core import Tensor
from ...tensor.random import Generator, drawing_from
from ..inputs import Batch, as_batch

CLASSES = 1000
"""With more there is no count by class."""


def rows_of(loader: DataLoader, count: int) -> Batch:
    """Rows spread evenly over the data, as a batch: sets often lie sorted by class.

    As many as a training batch where `count` of them make none, such as sequences of any length.
    """
    size = len(loader.dataset)
    if in_memory(loader.dataset):
        return as_batch(loader.fetch(_spread(size, count)))
    ours, theirs = np.random.get_state(), random.getstate()  # a dataset may draw from them
    try:
        with drawing_from(Generator().manual_seed(0)):
            try:
                return as_batch(loader.fetch(_spread(size, count)))
            except Exception:
                return as_batch(loader.fetch(_spread(size, loader.batch_size or 1)))
    finally:
        np.random.set_state(ours)
        random.setstate(theirs)


def _spread(size: int, count: int) -> Any:
    count = min(count, size)
    return np.arange(count) * size // count


def targets_of(dataset: Any) -> Any:
    """The targets of all rows where they lie in memory, else None."""
    if isinstance(dataset, Subset):
        held = targets_of(dataset.dataset)
        return None if held is None else held[dataset.indices]
    tensors = getattr(dataset, "tensors", None)
    return tensors[-1]._value if tensors else None


def name_of(loss: Any) -> str:
    """`mse_loss` for the function and for the class `MSELoss`."""
    name = getattr(loss, "__name__", None) or type(loss).__name__
    return BY_CLASS.get(name, name)


class Expected(NamedTuple):
    """A loss and how it comes about; exact: whether any small start of the weights has it.

    Squares are not: what the first weights make of the inputs adds to them, or takes from them.
    """

    value: float
    why: str
    exact: bool

    def far(self, first: float, share: float, nats: float, times: float) -> bool:
        """Whether a first loss is off: by a share and by so much; by a factor where not exact."""
        if self.exact:
            return abs(first - self.value) > max(share * self.value, nats)
        return not 1 / times**2 <= first / self.value <= times


def expected_loss(loss: Any, output: Tensor | None, y: Any) -> Expected | None:
    """The loss of an answer that knows nothing of the input.

    ln n for n classes, ln 2 for two by one output, the variance of the target for squares, its mean
    distance from the median for absolute errors; None for other losses.
    """
    rule = RULES.get(name_of(loss))
    if rule is None or output is None or getattr(loss, "reduction", "mean") != "mean":
        return None
    if getattr(loss, "pos_weight", None) is not None or not len(y):
        return None
    with np.errstate(all="ignore"):
        found = rule(output, np.asarray(y))
    if found is None or not math.isfinite(found[0]) or not found[0] > 0:
        return None
    return Expected(*found, exact=found[1].startswith("ln"))


def _classes(output: Tensor, y: Any) -> tuple[float, str] | None:
    if output.ndim < 2 or y.dtype.kind not in "iu":
        return None
    n = int(output.shape[1])
    return math.log(n), f"ln {n}, for {n} classes"


def _two(output: Tensor, y: Any) -> tuple[float, str]:
    return math.log(2.0), "ln 2, for a probability of 1/2"


def _squares(output: Tensor, y: Any) -> tuple[float, str]:
    return float(np.var(y, axis=0).mean()), "the variance of the target"


def _distances(output: Tensor, y: Any) -> tuple[float, str]:
    found = float(np.abs(y - np.median(y, axis=0)).mean())
    return found, "the mean distance of the target from its median"


RULES: dict[str, Callable[[Tensor, Any], tuple[float, str] | None]] = {
    "cross_entropy": _classes, "nll_loss": _classes, "binary_cross_entropy": _two,
    "binary_cross_entropy_with_logits": _two, "mse_loss": _squares, "l1_loss": _distances,
}  # fmt: skip
BY_CLASS = {
    "CrossEntropyLoss": "cross_entropy", "NLLLoss": "nll_loss", "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits", "MSELoss": "mse_loss",
    "L1Loss": "l1_loss",
}  # fmt: skip


def class_counts(y: Any) -> list[int] | None:
    """How many rows each class has; None where the target is no class."""
    y = np.asarray(y)
    if y.ndim != 1 or y.dtype.kind not in "iu" or not y.size or y.min() < 0 or y.max() >= CLASSES:
        return None
    return np.bincount(y).tolist()


def spread(inputs: Sequence[Tensor]) -> dict[str, float] | None:
    """Mean, deviation and largest magnitude of the inputs that are floats."""
    floats = [t._value.reshape(-1) for t in inputs if t.dtype.kind == "f" and t._value.size]
    if not floats:
        return None
    values = np.concatenate(floats).astype(np.float64)
    return {"mean": float(values.mean()), "std": float(values.std()),
            "largest": float(np.abs(values).max())}  # fmt: skip
