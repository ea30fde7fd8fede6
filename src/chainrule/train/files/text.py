"""JSON without surprises: what is read is what was written, or an error says where it is not."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError, FormatError
from ...tensor.core import Tensor
from .writing import Path, open_file, write_text

JSON_LIMIT = 64 * 2**20
"""The largest JSON file that is read, in bytes."""


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, whole or not at all; nan and infinities raise ArgumentError."""
    write_text(path, to_json(value, indent=2) + "\n")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text of dicts, lists, texts, numbers, paths and 0-d arrays or tensors."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False, default=_plain)
    except ValueError:
        raise ArgumentError(
            "JSON has no nan and no infinity", got=_find_nonfinite(value, "value") or "a circle"
        ) from None


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray, Tensor)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise ArgumentTypeError("JSON can't hold this", got=f"{type(value).__name__} {value!r}"[:80])


def _find_nonfinite(value: Any, place: str) -> str | None:
    if isinstance(value, float):
        return None if np.isfinite(value) else f"{place} = {value}"
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    return next(filter(None, (_find_nonfinite(v, f"{place}[{k!r}]") for k, v in items)), None)


def read_json(path: Path, limit: int = JSON_LIMIT) -> Any:
    """The value in a JSON file.

    Raises FormatError for more than `limit` bytes, for nan and infinities, for a key that stands
    twice in one object, and for what is no JSON, with the line.
    """
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)  # `read(limit)` would ask for so much memory
        if size > limit:
            raise FormatError(
                f"{os.fspath(path)} is too large for a JSON file",
                expected=f"at most {limit:,} bytes", got=f"{size:,} bytes",
            )  # fmt: skip
        file.seek(0)
        data = file.read()
    return parse_json(data, os.fspath(path))


NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""JSON has no number for these: they are texts."""


def worded(value: Any) -> Any:
    """A value as JSON can hold it: the text of NOT_FINITE for a float that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def read_json_lines(path: Path) -> list[Any]:
    """The values of a file with one JSON text a line, without a last line that was cut off."""
    with open_file(path) as file:
        lines = file.read().split(b"\n")[:-1]
    return [parse_json(line, f"{os.fspath(path)}:{i}") for i, line in enumerate(lines, 1)]


def parse_json(data: bytes, name: str) -> Any:
    """The value of a JSON text in UTF-8; `name` says in errors where it came from."""
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_without_repeats, parse_constant=_refuse,
            parse_float=_finite,
        )  # fmt: skip
    except RecursionError:
        problem = "nested too deeply"
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError as error:
        problem = f"byte {error.start} is no UTF-8"
    except ValueError as error:  # of the three below, and of Python for endless whole numbers
        problem = str(error).split(";")[0]
    raise FormatError(
        f"{name} is no JSON that can be read", got=problem, fix="the file from its source again"
    )


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [k for k, _ in pairs]
        twice = next(k for k in names if names.count(k) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return out


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if np.isfinite(value) else _refuse(text[:40])
