"""Finding what is not a number in data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class NonFinite:
    """Where nan and infinities are: how many, in which rows, in which columns."""

    count: int
    rows: Any
    columns: Any


def find_nonfinite(array: Any) -> NonFinite:
    """The nan and infinities of an array or tensor (N, ...).

    `rows` and `columns` are the different row and column numbers, sorted, as int64 arrays; with
    more than two dimensions, a column is a place in the flattened row.  Whole numbers are finite.

    >>> import numpy as np
    >>> from chainrule.data import find_nonfinite
    >>> found = find_nonfinite(np.array([[1.0, np.nan], [2.0, 3.0], [np.inf, np.nan]]))
    >>> found.count, found.rows.tolist(), found.columns.tolist()
    (3, [0, 2], [0, 1])
    """
    values = np.asarray(getattr(array, "_value", array))
    nothing = np.zeros(0, np.int64)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return NonFinite(0, nothing, nothing)
    bad = ~np.isfinite(np.atleast_1d(values))
    bad = bad.reshape(len(bad), -1)
    return NonFinite(
        int(bad.sum()), np.flatnonzero(bad.any(axis=1)), np.flatnonzero(bad.any(axis=0))
    )
