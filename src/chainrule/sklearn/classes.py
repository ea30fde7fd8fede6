"""Classes of targets: at least two, and none that is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from ..train.inputs import listed


def check_classes(y: Any) -> None:
    """scikit-learn's check that targets are classes; its error with how many values there are."""
    if y.dtype.kind == "O":
        _check_of_one_kind(y)
    try:
        check_classification_targets(y)
    except ValueError as error:
        if y.dtype.kind != "f":
            raise
        count = len(np.unique(y))
        raise ValueError(f"{error} There are {count} different values in {len(y)} rows.") from None


def _check_of_one_kind(y: Any) -> None:
    """Raises where some labels are texts and others are not: by the first row that differs."""
    kinds = [type(v) if isinstance(v, str) else None for v in y.ravel().tolist()]
    texts = sum(k is str for k in kinds)
    if texts in (0, len(kinds)):
        return
    few = str if 2 * texts <= len(kinds) else None
    row = kinds.index(few) // (y.shape[1] if y.ndim > 1 else 1)
    raise ValueError(
        f"y must hold labels of one kind, texts or numbers, but row {row} holds "
        f"{y[row] if y.ndim == 1 else y[row].tolist()!r}, and {min(texts, len(kinds) - texts)} of "
        f"{len(kinds)} labels are {'texts' if few else 'no texts'}."
    )


def check_two(est: Any, classes: Any, y: Any) -> None:
    """Raises where there is one class only: nothing could be learned from it."""
    if len(classes) < 2:
        raise ValueError(
            f"{type(est).__name__} needs rows of at least two classes, but the data hold one "
            f"class: {np.asarray(classes).tolist()[0]!r}, in all {len(y)} rows."
        )


def labels_of(est: Any, y: Any) -> Any:
    """The classes (rows,) that codes stand for, as the user knows them."""
    return est.classes_[np.ravel(y).astype(np.int64)]


def check_known(y: Any, classes: Any) -> None:
    """Raises for classes that the first fit has not seen."""
    strange = np.setdiff1d(y if y.ndim == 1 else unique_labels(y), classes)
    if len(strange):
        raise ValueError(
            f"`y` has classes not in `self.classes_`: {listed(strange.tolist())}. "
            f"`self.classes_` has {len(classes)} classes."
        )
