"""Fewer points for the same line: every peak and every trough stays, and so does every gap."""

from __future__ import annotations

from collections.abc import Sequence

from .charts import finite


def kept(columns: Sequence[Sequence[float | None]], most: int) -> list[int]:
    """Which of the points of several series over one x to keep, in order.

    columns: a list of values for each series, all of one length.  most: about how many points
    stay.  The points are cut into equal pieces; of each piece stay its first point, every series'
    lowest and highest, and the first that is not finite.

    >>> kept([[0, 0, 9, 0, 0, 0, -9, 0, 0, 0]], 4)
    [0, 2, 6, 9]
    """
    count = len(columns[0]) if columns else 0
    if count <= most:
        return list(range(count))
    pieces = max(most // (2 * len(columns) + 1), 1)
    chosen = {count - 1}
    for k in range(pieces):
        start, stop = k * count // pieces, (k + 1) * count // pieces
        chosen.add(start)
        for column in columns:
            chosen |= _extremes(column, start, stop)
    return sorted(chosen)


def _extremes(column: Sequence[float | None], start: int, stop: int) -> set[int]:
    good = [i for i in range(start, stop) if finite(column[i])]
    bad = next((i for i in range(start, stop) if not finite(column[i])), None)
    chosen = set() if bad is None else {bad}
    if good:
        chosen |= {
            min(good, key=lambda i: column[i] or 0.0),
            max(good, key=lambda i: column[i] or 0.0),
        }
    return chosen


def smoothed(values: Sequence[float | None], half: int) -> list[float | None]:
    """The mean of each value and `half` neighbours on each side, those that are finite."""
    total, number = [0.0], [0]
    for v in values:
        ok = finite(v)
        total.append(total[-1] + (float(v) if ok and v is not None else 0.0))
        number.append(number[-1] + ok)
    means: list[float | None] = []
    for i in range(len(values)):
        low, high = max(i - half, 0), min(i + half + 1, len(values))
        n = number[high] - number[low]
        means.append((total[high] - total[low]) / n if n else None)
    return means
