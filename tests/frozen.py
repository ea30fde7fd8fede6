"""References that are computed once with torch, frozen, and read by tests that need no torch.

A case is a function of a library (`torch` or `chainrule`, which share their names) and of tensors.
`evaluate` gives its outputs, the gradients of its float inputs and their second derivatives, so
the script that freezes and the test that compares run the very same lines.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

DTYPES = ("float64", "float32")


class Case(NamedTuple):
    """`run(library, *tensors)`; float inputs are differentiated, `second`: twice."""

    name: str
    run: Callable[..., Any]
    inputs: tuple[Any, ...]
    second: bool = True
    dtypes: tuple[str, ...] = DTYPES


def by_name(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """The cases of each function or layer: what stands before the settings in a case's name."""
    found: dict[str, list[Case]] = {}
    for c in cases:
        found.setdefault(re.split("[:(]", c.name)[0], []).append(c)
    return found


def in_its_types(cases: Iterable[Case]) -> list[Any]:
    """Parameters of a test: the cases of one function or layer, and a type; what is exact in
    double is fast in it alone."""
    found: dict[tuple[str, str, bool], list[Case]] = {}
    for name, its in by_name(cases).items():
        for c in its:
            for d in c.dtypes:
                slow = d == "float32" and "float64" in c.dtypes
                found.setdefault((name, d, slow), []).append(c)
    return [
        pytest.param(its, d, id=f"{name} {d}", marks=pytest.mark.slow if slow else ())
        for (name, d, slow), its in found.items()
    ]


@contextmanager
def about(what: Any) -> Iterator[None]:
    """An error within says what it is about: one of many things that a test looks at."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"about {what}")
        raise


def _mixing(shape: tuple[int, ...], dtype: Any) -> Any:
    """Fixed weights that are all different, so that no gradient can hide behind another."""
    size = int(np.prod(shape, dtype=int))
    return np.cos(np.arange(size) + 1.0).reshape(shape).astype(dtype)


def _weighted_sum(lib: Any, values: Iterable[Any], dtype: str) -> Any:
    total = None
    for v in values:
        if v is not None and v.requires_grad:
            part = (v * lib.tensor(_mixing(tuple(v.shape), dtype))).sum()
            total = part if total is None else total + part
    return total


def evaluate(lib: Any, case: Case, inputs: tuple[Any, ...], dtype: str) -> dict[str, Any]:
    """Outputs y0, y1, ..., gradients g0, ... and second derivatives h0, ... as arrays."""
    tensors = []
    for x in inputs:
        x = np.asarray(x)
        floating = x.dtype.kind == "f"
        tensors.append(lib.tensor(x.astype(dtype) if floating else x, requires_grad=floating))
    floats = [t for t in tensors if t.requires_grad]
    result = case.run(lib, *tensors)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    found = {f"y{i}": y.detach().numpy() for i, y in enumerate(outputs)}
    loss = _weighted_sum(lib, outputs, dtype)
    if loss is None:
        return found
    first = lib.autograd.grad(loss, floats, create_graph=case.second, allow_unused=True)
    found |= _arrays("g", first, floats)
    again = _weighted_sum(lib, first, dtype) if case.second else None
    if again is not None:
        found |= _arrays("h", lib.autograd.grad(again, floats, allow_unused=True), floats)
    return found


def _arrays(letter: str, grads: Iterable[Any], floats: list[Any]) -> dict[str, Any]:
    """An input that plays no part has the gradient 0."""
    return {
        f"{letter}{i}": np.zeros(tuple(x.shape)) if g is None else g.detach().clone().numpy()
        for i, (g, x) in enumerate(zip(grads, floats, strict=True))
    }


def freeze(path: Path, entries: dict[str, dict[str, Any]], notes: dict[str, Any]) -> None:
    """Writes all arrays behind one another, with an index: entry, key -> dtype, shape, start."""
    index: dict[str, Any] = {}
    flat, start = [], 0
    for name, arrays in entries.items():
        index[name] = {}
        for key, value in arrays.items():
            value = np.asarray(value)
            index[name][key] = [value.dtype.name, list(value.shape), start]
            flat.append(value.reshape(-1).astype(np.float64))
            start += value.size
    text = json.dumps({"index": index, "notes": notes}, sort_keys=True)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        values=np.concatenate(flat),
        index=np.frombuffer(text.encode(), np.uint8),
    )
    path.write_bytes(buffer.getvalue())


class Frozen:
    """What `freeze` wrote: `frozen["name"]` is a dict of arrays."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            self._values = file["values"]
            held = json.loads(bytes(file["index"]))
        self._index, self.notes = held["index"], held["notes"]

    def __contains__(self, name: str) -> bool:
        return name in self._index

    def __getitem__(self, name: str) -> dict[str, Any]:
        found = {}
        for key, (dtype, shape, start) in self._index[name].items():
            size = int(np.prod(shape, dtype=int))
            found[key] = self._values[start : start + size].astype(dtype).reshape(shape)
        return found


def freeze_cases(path: Path, cases: list[Case], lib: Any, notes: dict[str, Any]) -> None:
    """Evaluates every case in both float types with `lib` and writes inputs and results."""
    entries = {}
    for case in cases:
        entries[f"{case.name}/inputs"] = {f"x{i:02}": x for i, x in enumerate(case.inputs)}
        for dtype in case.dtypes:
            entries[f"{case.name}/{dtype}"] = evaluate(lib, case, case.inputs, dtype)
    freeze(path, entries, notes)


TOLERANCE = {"float64": (1e-12, 1e-13), "float32": (1e-5, 2e-6)}


def compare(case: Case, found: dict[str, Any], wanted: dict[str, Any], dtype: str) -> None:
    """Every array equal within the rounding of a few operations; the output dtypes equal too."""
    rtol, atol = TOLERANCE[dtype]
    for key in sorted(found.keys() | wanted.keys()):
        if key[0] == "h":  # a second derivative of 0 may not be recorded on one side
            shape = np.shape(found.get(key, wanted.get(key)))
            found.setdefault(key, np.zeros(shape))
            wanted.setdefault(key, np.zeros(shape))
        if key[0] == "y":
            assert found[key].dtype.name == wanted[key].dtype.name, (case.name, key)
        np.testing.assert_allclose(
            found[key], wanted[key], rtol, atol, err_msg=f"{case.name} {dtype} {key}"
        )


def compare_frozen(lib: Any, case: Case, frozen: Frozen, dtype: str) -> None:
    """The library against the frozen results of a case."""
    inputs = tuple(frozen[f"{case.name}/inputs"].values())
    compare(case, evaluate(lib, case, inputs, dtype), frozen[f"{case.name}/{dtype}"], dtype)
