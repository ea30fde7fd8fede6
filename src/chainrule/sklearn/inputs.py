"""What `fit` and `predict` are given, checked by scikit-learn, with the place of what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..data import find_nonfinite
from ..data.finite import NonFinite
from ..markup import counted
from ..train.inputs import listed, masked_values

SPARSE = ("csr", "csc")


def checked(est: Any, x: Any, *y: Any, dtype: Any, reset: bool, **more: Any) -> Any:
    """`validate_data`, whose errors about single values then say in which rows and columns."""
    if y and y[0] is None:
        raise ValueError(f"{type(est).__name__} requires y to be passed, but the target y is None")
    for name, values in zip("Xy", (x, *y), strict=False):
        hidden = masked_values(values)
        if hidden:
            raise ValueError(
                f"{name} is an array with {hidden}: leave such rows out, or give "
                f"{name}.filled(value)."
            )
    try:
        return validate_data(est, x, *y, accept_sparse=SPARSE, dtype=dtype, reset=reset, **more)
    except (ValueError, TypeError) as error:
        place = _place(x, error) or (_place(y[0], error, "y") if y else "")
        if not place:
            raise
        error.args = (f"{error}\n{place}", *error.args[1:])
        raise


def _place(x: Any, error: Exception, name: str = "X") -> str:
    """Where the values are that an error is about, as far as it can be found."""
    text = str(error)
    if "could not convert string" in text:
        return _texts(x, name)
    if "Input contains NaN" in text and name == "y":  # of labels that are objects
        rows = [i for i, v in enumerate(np.ravel(np.asarray(x, dtype=object)).tolist()) if v != v]
        return f"y holds no label in {_places('row', rows)}." if rows else ""
    if f"Input {name} contains" not in text:
        return ""
    try:
        found = _nonfinite_of_sparse(x) if _is_sparse(x) else find_nonfinite(np.asarray(x, float))
    except (TypeError, ValueError):
        return ""
    if not found.count:
        return ""
    columns = f", {_places('column', _names(x, found.columns))}" if name == "X" else ""
    values = "1 value that is" if found.count == 1 else f"{found.count} values that are"
    return f"{values} not finite, in {_places('row', found.rows)}{columns}."


def _nonfinite_of_sparse(x: Any) -> NonFinite:
    held = x.tocoo()
    bad = ~np.isfinite(held.data)
    rows, columns = (np.unique(at[bad]).astype(np.int64) for at in (held.row, held.col))
    return NonFinite(int(bad.sum()), rows, columns)


def _places(what: str, numbers: Any) -> str:
    return f"{what}{'s' * (len(numbers) != 1)} {listed(numbers)}"


def _texts(x: Any, name: str) -> str:
    values = np.asarray(x, dtype=object)
    if values.ndim != 2:
        return ""
    for j, column in enumerate(values.T):
        for i, value in enumerate(column):
            try:
                float(value)
            except (TypeError, ValueError):
                where = _names(x, [j])[0]
                return f"{name} holds {value!r} in row {i}, column {where}."
    return ""


def _names(x: Any, columns: Any) -> list[Any]:
    names = list(x.columns) if hasattr(x, "columns") else None
    return [int(c) if names is None else repr(names[int(c)]) for c in columns]


def _is_sparse(x: Any) -> bool:
    return hasattr(x, "tocsr")


def row_weights(sample_weight: Any, x: Any, dtype: Any) -> Any:
    """The weight of every row, 1 where none is given."""
    if sample_weight is None:
        return np.ones(x.shape[0], dtype)
    w = _check_sample_weight(sample_weight, x, dtype=dtype)
    bad = np.flatnonzero(w < 0)
    if len(bad):
        raise ValueError(
            f"sample_weight must hold numbers >= 0, but {counted(len(bad), 'value')} "
            f"{'is' if len(bad) == 1 else 'are'} negative: {w[bad[0]]:g} in row {bad[0]}"
            f"{', and more' if len(bad) > 1 else ''}."
        )
    return w


def split(est: Any, rows: tuple[Any, ...], rng: Any, by: Any) -> list[Any]:
    """`train_test_split` by validation_fraction, which its errors then name."""
    try:
        return train_test_split(
            *rows, random_state=rng, test_size=est.validation_fraction, stratify=by
        )
    except ValueError as error:
        share, count = est.validation_fraction, rows[0].shape[0]
        told = f"early_stopping holds out validation_fraction={share:g} of {counted(count, 'row')}."
        error.args = (f"{error}\n{told}", *error.args[1:])
        raise


def in_pairs(x: Any, y: Any) -> None:
    """Raises where only one of X_val and y_val is given."""
    if (x is None) != (y is None):
        raise ValueError("X_val and y_val belong together: give both, or neither.")
