"""Tensors in a file: the safetensors format, with a checksum of every tensor and of the header.

    8 bytes: n, little-endian | n bytes of JSON: the header | the tensors' bytes, without gaps

The library `safetensors` writes and reads the format.  What it lacks is here: its metadata get one
entry, `chainrule`, with JSON text that holds the sha256 of the header (with zeros in its own
place), the sha256 of each tensor's bytes, and the texts that the caller gives.  So every changed
bit is noticed, and any program that knows safetensors still reads the file.  Nothing read from a
file is ever executed, and no memory is asked for on the word of a header.

Source: https://github.com/huggingface/safetensors (the format's description in its README).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from io import BufferedReader
from typing import Any, NamedTuple, NoReturn

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as library

from ... import dtypes
from ...errors import ArgumentError, ArgumentTypeError, FormatError
from ...tensor.core import Tensor, wrap
from .text import parse_json, to_json
from .writing import Path, open_file, write_parts

HEADER_LIMIT = 16 * 2**20
"""The largest header, in bytes: about 60,000 tensors."""

_HELD = ("F32", "F64", "I8", "I16", "I32", "I64", "U8", "U64", "BOOL")
_ZEROS = b"0" * 64
_MARK, _BEGIN = "chainrule", '{"sha256":'

_MAGIC = (
    (b"PK\x03\x04", "a PyTorch zip archive with a pickle inside"),
    (b"\x80", "a Python pickle, as PyTorch saved before 1.6"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"\x89HDF", "an HDF5 file, as Keras saves"),
    (b"\x1f\x8b", "a gzip archive"),
)


# ---------------------------------------------------------------- the state_dict of a model


def save(state_dict: Mapping[str, Any], path: Path) -> None:
    """Writes a `state_dict()` to a safetensors file, whole or not at all.

    state_dict: tensors by name.  path: the file; one that is there is replaced.  Raises
    OutputError where it can't be written, and leaves the old file as it was.  Differs from
    PyTorch: the file holds tensors alone, no Python objects, and other programs can read it.

    >>> import chainrule, os, tempfile
    >>> model = chainrule.nn.Linear(2, 1)
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> chainrule.save(model.state_dict(), path)
    >>> model.load_state_dict(chainrule.load(path))
    StateReport(missing_keys=[], unexpected_keys=[])
    """
    if not isinstance(state_dict, Mapping):
        raise ArgumentTypeError(
            "save: the first argument must be a dict of tensors by name",
            got=type(state_dict).__name__,
            fix="chainrule.save(model.state_dict(), path)",
        )
    save_tensors(path, state_dict)


def load(path: Path) -> dict[str, Tensor]:
    """The tensors by name that `save`, or any program that writes safetensors, put into a file.

    Raises MissingFileError, and FormatError for a file that was cut or altered, or that holds
    something else.  Differs from PyTorch: never unpickles, so a file can't run code.
    """
    return load_tensors(path)


# ---------------------------------------------------------------- writing


def save_tensors(
    path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors or arrays by name, with texts by name beside them, as safetensors."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(
            "save: the path must be a text or a Path", got=type(path).__name__,
            fix="chainrule.save(model.state_dict(), 'model.safetensors')",
        )  # fmt: skip
    arrays = {name: _array(name, value) for name, value in tensors.items()}
    texts = dict(metadata or {})
    for key, text in texts.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ArgumentTypeError("save: metadata are texts by name", got=f"{key!r}: {text!r}")
    sums = {name: _sha256(array) for name, array in arrays.items()}
    about = to_json({"sha256": _ZEROS.decode(), "tensors": sums, "metadata": texts})
    data = memoryview(library.save(arrays, {_MARK: about}))
    size = 8 + int.from_bytes(data[:8], "little")
    if size > HEADER_LIMIT:
        raise ArgumentError(
            "save: too many tensors, or too long texts, for one file",
            expected=f"a header of at most {HEADER_LIMIT:,} bytes", got=f"{size:,} bytes",
        )  # fmt: skip
    blank = bytes(data[:size])
    write_parts(path, [blank.replace(_ZEROS, _sha256(blank).encode(), 1), data[size:]])


WHOLE = "one save for a model's state_dict(); a Trainer's checkpoint for optimizers and the rest"


def _array(name: Any, value: Any) -> Any:
    if not isinstance(name, str) or name == "__metadata__" or _is_unsafe(name):
        raise ArgumentError("save: not a name for a tensor", got=repr(name))
    value = getattr(value, "_value", value)
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind not in "biuf":
        raise ArgumentTypeError(
            f"save: {name!r} is not a tensor",
            expected="tensors by name, as model.state_dict() gives them",
            got=f"{type(value).__name__} {getattr(value, 'dtype', '')}".strip(),
            fix=WHOLE if isinstance(value, dict) else None,
        )
    array = np.asarray(value)
    return np.ascontiguousarray(array, dtypes.as_dtype(array.dtype)).reshape(array.shape)


def _is_unsafe(name: str) -> bool:
    """Nothing, control characters, and what climbs out of a folder if paths are made of names."""
    parts = name.replace("\\", "/").split("/")
    control = any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name)
    return not name or control or ".." in parts


def _sha256(data: Any) -> str:
    return hashlib.sha256(np.frombuffer(data, np.uint8).data).hexdigest()


# ---------------------------------------------------------------- reading


class _Header(NamedTuple):
    size: int  # in bytes, with the 8 before it
    entries: dict[str, Any]  # dtype, shape and place of each tensor; the library checks them
    sums: dict[str, str]  # sha256 of each tensor, as they were saved; {} from other programs
    metadata: dict[str, str]


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors by name, after every checksum in the file was found to be right.

    Raises FormatError that names what is intact where the file was cut or altered.
    """
    name = os.fspath(path)
    with open_file(path) as file:
        header = _header(name, file)
        file.seek(0)
        data = file.read()
    try:
        arrays = library.load(data)
    except SafetensorError as error:
        _explain(name, header, data, str(error).removeprefix("Error while deserializing: "))
    except (ValueError, OverflowError) as error:
        _fail(name, "a shape is one that no array can have", got=str(error))
    names = list(header.sums or header.entries)
    if not all(_is_right(header, n, arrays[n]) for n in names):
        _explain(name, header, data)
    return {n: wrap(arrays[n]) for n in names}


def load_metadata(path: Path) -> dict[str, str]:
    """The texts by name that `save_tensors` put beside the tensors; reads the header only."""
    with open_file(path) as file:
        return _header(os.fspath(path), file).metadata


def _fail(path: str, problem: str, **rows: Any) -> NoReturn:
    rows.setdefault("fix", "an older checkpoint, or the file from its source again")
    raise FormatError(f"{path} is not a file of tensors that can be read: {problem}", **rows)


def _header(path: str, file: BufferedReader) -> _Header:
    raw = _read_header(path, file)
    entries = parse_json(raw[8:], f"{path}: the header")
    about = entries.pop("__metadata__", {})
    if not isinstance(about, dict) or not all(isinstance(v, str) for v in about.values()):
        _fail(path, "__metadata__ must hold texts by name")
    for name, entry in entries.items():
        if _is_unsafe(name):
            _fail(path, f"{name!r} is not a name for a tensor")
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            _fail(path, f"{name!r} needs dtype, shape and data_offsets, no more")
        if entry["dtype"] not in _HELD:
            _fail(
                path, f"{name!r} is of a type that is not held", expected=", ".join(_HELD),
                got=f"{entry['dtype']!r}"[:60], fix="convert it to F32 where it was made",
            )  # fmt: skip
    # a changed bit can hide the entry's name or its beginning, but not both
    if _MARK not in about and not any(v.startswith(_BEGIN) for v in about.values()):
        return _Header(len(raw), entries, {}, about)
    try:
        held = parse_json(about[_MARK].encode(), path)
        told, sums, metadata = held["sha256"], dict(held["tensors"]), dict(held["metadata"])
        right = _sha256(raw.replace(told.encode(), _ZEROS, 1)) == told
    except (ValueError, LookupError, TypeError, AttributeError):
        right = False
    if not right or sums.keys() != entries.keys():
        _fail(path, "the header was altered, so no tensor can be trusted")
    return _Header(len(raw), entries, sums, metadata)


def _read_header(path: str, file: BufferedReader) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    begins = len(head) == 9 and head[8:] == b"{" and 1 < length <= HEADER_LIMIT
    if begins and length <= size - 8:
        return head + file.read(length - 1)
    if begins:
        _fail(
            path, "it was cut short within its header; no tensor is intact",
            expected=f"more than {length + 8:,} bytes", got=f"{size:,} bytes",
        )  # fmt: skip
    what = next((w for magic, w in _MAGIC if head.startswith(magic)), None)
    if what is None:
        _fail(
            path, "it is not in the safetensors format, or its beginning was altered",
            expected=f"8 bytes with the header's length, at most {HEADER_LIMIT:,}, and its '{{'",
            got=f"{size:,} bytes that begin with {head!r}",
        )  # fmt: skip
    fix = "save the weights as safetensors, or as arrays, with the program that made it"
    if "Py" in what:
        what += "; pickles can run code, so they are never loaded"
        fix = "with PyTorch: safetensors.torch.save_file(model.state_dict(), path)"
    _fail(path, f"this is {what}", expected="safetensors", fix=fix)


def _is_right(header: _Header, name: str, data: Any) -> bool:
    if name in header.sums and header.sums[name] != _sha256(data):
        return False
    return header.entries[name]["dtype"] != "BOOL" or not (np.frombuffer(data, np.uint8) > 1).any()


def _explain(path: str, header: _Header, data: bytes, refusal: str = "") -> NoReturn:
    """Says what is intact, of a file that the library or a checksum refused."""
    if refusal and "not fully covered" not in refusal:  # otherwise the header makes sense
        _fail(path, "the library safetensors refuses it", got=refusal[:200])
    places = {n: e["data_offsets"] for n, e in header.entries.items()}
    end = header.size + max((stop for _, stop in places.values()), default=0)
    if len(data) > end:
        _fail(path, "bytes follow the last tensor", expected=f"{end:,} bytes", got=f"{len(data):,}")
    names: dict[bool, list[str]] = {True: [], False: []}
    for name in header.sums or places:
        start, stop = (header.size + n for n in places[name])
        names[stop <= len(data) and _is_right(header, name, data[start:stop])].append(name)
    what = "it was cut short" if len(data) < end else "bytes were altered"
    _fail(
        path, f"{what}; broken: {_some(names[False])}",
        expected=f"{end:,} bytes" + ("" if len(data) < end else " with the right checksums"),
        got=f"{len(data):,} bytes; intact: {_some(names[True]) or 'none'}",
    )  # fmt: skip


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(n[:40] for n in names[:4]) + rest
