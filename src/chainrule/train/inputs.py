"""What `fit` is given, as loaders; and the data looked over before the first step."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from ..data import (
    ConcatDataset,
    DataLoader,
    NonFinite,
    Subset,
    TensorDataset,
    find_nonfinite,
)
from ..errors import ArgumentError, ArgumentTypeError, NonFiniteError
from ..markup import counted
from ..nn import Module
from ..tensor.core import Tensor
from ..tensor.create import as_tensor
from ..tensor.random import Generator

Batch = tuple[Tensor, ...]
EVALUATION_BATCH = 256


def check_model_and_loss(who: str, model: Any, loss: Any) -> None:
    """Raises where these are no model and no loss; who: that asks for them."""
    if not isinstance(model, Module):
        raise ArgumentTypeError(f"{who}: the model must be a Module", got=type(model).__name__)
    if not callable(loss):
        raise ArgumentTypeError(
            f"{who}: the loss must be a Module or a function of (prediction, target)",
            got=type(loss).__name__,
        )


def as_loader(
    data: Any,
    model: Module,
    batch_size: int | None,
    shuffle: bool | None,
    generator: Generator | None,
    usual: tuple[int, bool] = (EVALUATION_BATCH, False),
) -> DataLoader:
    """A DataLoader as it is; a Dataset or a tuple of arrays in a new one.

    usual: batch_size and shuffle of a new one, where they are None.
    """
    if isinstance(data, DataLoader):
        loader = data
        for name, given in (("batch_size", batch_size), ("shuffle", shuffle)):
            if given is not None:
                raise ArgumentError(
                    f"{name} is for data that come without a DataLoader, which has its own",
                    got=f"{name}={given!r} with a DataLoader",
                    fix=f"DataLoader(.., {name}={given})",
                )  # fmt: skip
    else:
        dataset = as_dataset(data, model)
        size = usual[0] if batch_size is None else batch_size
        mixed = usual[1] if shuffle is None else shuffle
        loader = DataLoader(dataset, size, mixed, generator=generator)
    if not len(loader):
        raise ArgumentError(
            "the data hold no batch",
            expected="at least one example",
            got=f"{len(loader.dataset)} examples",
            fix="drop_last=False, or a look at what was filtered out before",
        )
    return loader


def as_dataset(data: Any, model: Module) -> Any:
    """A Dataset as it is; a tuple of arrays or Tensors as a TensorDataset."""
    if isinstance(data, (tuple, list)):
        data = flat(data)
        if len(data) < 2:
            raise ArgumentError(
                "data: inputs and a target are needed", expected="(x, y) or (x1, x2, ..., y)",
                got=f"a {type(data).__name__} of {len(data)}",
            )  # fmt: skip
        return TensorDataset(*[as_input(a, model) for a in data])
    if isinstance(data, Mapping):
        _refuse_names(data)
    several = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    whole = hasattr(data, "dtype") or is_frame(data)  # x, and no y
    text = isinstance(data, (str, bytes, os.PathLike))
    if several and not whole and not text:
        return data
    fix = "fit((x, y), ...)" if whole else None
    if text:
        fix = "chainrule.train.tabular.TableFit(path, target), for the file of a table"
    raise ArgumentTypeError(
        "data: not something to train on",
        expected="a DataLoader, a Dataset or a tuple of arrays (x, y)",
        got=type(data).__name__,
        fix=fix,
    )


def flat(data: Any) -> Any:
    """((x1, x2), y) as (x1, x2, y); anything else as it is."""
    several = isinstance(data, (tuple, list)) and len(data) == 2 and isinstance(data[0], tuple)
    return (*data[0], data[1]) if several else data


def as_input(a: Any, model: Module, what: str = "data") -> Tensor:
    """A Tensor as it is; floats in an array or a list in the model's float type."""
    if isinstance(a, Tensor):
        return a
    if isinstance(a, Mapping):
        _refuse_names(a)
    _refuse_texts(a, what)
    t = as_tensor(_plain(a))
    dtype = next((p.dtype for p in model.parameters()), None)
    return t.to(dtype) if t.dtype.kind == "f" and dtype is not None else t


def _refuse_names(data: Mapping[Any, Any]) -> NoReturn:
    raise ArgumentTypeError(
        "data: inputs go by their place, not by name",
        expected="(x1, x2, ..., y), in the order of the model's forward",
        got=f"a dict of {', '.join(map(str, data))}"[:80], fix="fit((x, y), ...)",
    )  # fmt: skip


def _refuse_texts(a: Any, what: str) -> None:
    """Raises for a frame's column, a series or an array of texts, with the first of them."""
    if isinstance(a, (list, tuple)) and not (a and isinstance(a[0], str)):
        return
    if not is_frame(a):
        fix = "classes by number, from 0: numpy.unique(y, return_inverse=True)[1]"
        values = np.atleast_1d(np.asarray(a))
        _refuse_text(values, f"the {type(a).__name__} of {what}", fix if what == "data" else None)
        return
    for name in a.columns:
        column = np.asarray(a[name])
        fix = "leave it out, or chainrule.data.Preprocessing, which makes numbers of it"
        _refuse_text(column, f"{what}: column {str(name)[:40]!r}", fix)
        if column.dtype.kind not in "biuf":
            _refuse(f"{what}: column {str(name)[:40]!r}", column, 0, fix)


def is_frame(a: Any) -> bool:
    """Whether something is a data frame, of whatever package."""
    return hasattr(a, "columns") and hasattr(a, "dtypes")


def _refuse_text(values: Any, what: str, fix: str | None) -> None:
    if values.dtype.kind in "OUT":
        row = next((i for i, v in enumerate(values) if isinstance(v, str)), None)
        if row is not None:
            _refuse(what, values, row, fix)


def _refuse(what: str, values: Any, row: int, fix: str | None) -> NoReturn:
    raise ArgumentTypeError(
        f"{what} holds no numbers", expected="numbers",
        got=f"{str(values[row])[:40]!r} in row {row}", fix=fix,
    )  # fmt: skip


def _plain(a: Any) -> Any:
    """A frame of numbers of several kinds as one array; raises for what would lose its meaning."""
    if hasattr(a, "toarray"):
        raise ArgumentTypeError("data: a sparse matrix is not taken", expected="an array",
                                got=type(a).__name__, fix="x.toarray()")  # fmt: skip
    hidden = masked_values(a)
    if hidden:
        raise ArgumentError(
            "data: an array with masked values", expected="a number in each place", got=hidden,
            fix="leave those rows out, or x.filled(value)",
        )  # fmt: skip
    if hasattr(a, "columns") and np.asarray(a).dtype.kind == "O":
        return np.stack([np.asarray(a[name]) for name in a.columns], 1)
    if isinstance(a, np.ndarray) and a.dtype.kind == "O":
        kinds = (bool, int, float, np.number, np.bool_)
        odd = next(((i, v) for i, v in np.ndenumerate(a) if not isinstance(v, kinds)), None)
        raise ArgumentTypeError(
            "data: an array of Python objects", expected="an array of numbers",
            got="numbers as objects" if odd is None else f"{str(odd[1])[:40]!r} at {odd[0]}",
            fix="x.astype(np.float32)" if odd is None else "numbers in place of it",
        )  # fmt: skip
    return a


def as_batch(batch: Any) -> Batch:
    """The tensors of a batch; raises where it has no target."""
    if isinstance(batch, (tuple, list)) and len(batch) >= 2:
        return tuple(batch)
    got = f"{len(batch)} values" if isinstance(batch, (tuple, list)) else type(batch).__name__
    raise ArgumentTypeError(
        "a batch must hold inputs and a target",
        expected="(x, y) or (x1, x2, ..., y)",
        got=got,
        fix="a dataset whose examples are (x, y)",
    )


def groups(loader: DataLoader, size: int) -> Iterator[list[Batch]]:
    """Batches in groups of `size`; the last group may be smaller."""
    group: list[Batch] = []
    for batch in loader:
        group.append(as_batch(batch))
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def column_names(data: Any) -> list[Any]:
    """The column names of each data frame in a tuple of data, None for the rest."""
    parts = data if isinstance(data, (tuple, list)) else ()
    return [list(a.columns) if hasattr(a, "columns") else None for a in parts]


def check_finite(dataset: Any, what: str, names: Sequence[Any] = ()) -> None:
    """Raises where data in memory hold a nan or an infinity: rows, columns and count."""
    rows = None
    while isinstance(dataset, Subset):
        rows = dataset.indices if rows is None else dataset.indices[rows]
        dataset = dataset.dataset
    if isinstance(dataset, ConcatDataset):
        for i, part in enumerate(dataset.datasets):
            check_finite(part, f"{what}, part {i}")
        return
    tensors = getattr(dataset, "tensors", ())
    for place, t in enumerate(tensors):
        found = find_nonfinite(t if rows is None else t._value[rows])
        if found.count:
            part = "targets" if place == len(tensors) - 1 else "inputs"
            where = found.rows if rows is None else rows[found.rows]
            columns = names[place] if place < len(names) else None
            raise _not_finite(f"{what}: the {part}", found, where, t.ndim > 1, columns)


def _not_finite(what: str, found: NonFinite, rows: Any, table: bool, names: Any) -> NonFiniteError:
    rows_said = f"{counted(len(rows), 'row')} (number {listed(rows)})"
    got = f"{found.count} nan or infinite in {rows_said}"
    if table:
        columns = found.columns if names is None else [names[int(c)] for c in found.columns]
        got += f", column{'s' * (len(columns) != 1)} {listed(columns)}"
    return NonFiniteError(
        f"{what} hold values that are not finite",
        expected="finite numbers",
        got=got,
        fix="leave those rows out, or fill them in",
    )


def masked_values(a: Any) -> str:
    """How many values of an array are masked, and where the first is; empty where none is.

    >>> masked_values(np.ma.masked_array([[1, 2], [3, 4]], [[False, False], [True, False]]))
    '1 masked value, the first at (1, 0)'
    """
    if not isinstance(a, np.ma.MaskedArray):
        return ""
    places = np.argwhere(np.ma.getmaskarray(a)).tolist()
    if not places:
        return ""
    return f"{counted(len(places), 'masked value')}, the first at {tuple(places[0])}"


def listed(numbers: Any, most: int = 6) -> str:
    """The first few numbers or names, and how many more there are."""
    head = ", ".join(str(n) for n in numbers[:most])
    return head + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
