"""Tensors in a file: the safetensors format, with a checksum of every tensor and of the header.

    8 bytes: n, little-endian | n bytes of JSON: the header | the tensors' bytes, without gaps

The header names each tensor's dtype, shape and place.  Its `__metadata__` holds, besides what the
caller gives, `sha256:<name>` over each tensor's dtype, shape, name and bytes, and `sha256` over the
header itself (with zeros in its place).  Any program that knows safetensors reads these files; this
one also notices every changed bit.  Nothing read from a file is ever executed, and nothing is
allocated before the header was found to fit the size of the file.

Source: https://github.com/huggingface/safetensors (the format's description in its README).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from io import BufferedReader
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ... import dtypes
from ...errors import ArgumentError, ArgumentTypeError, FormatError
from ...tensor.core import Tensor, wrap
from .text import parse_json, to_json
from .writing import Path, open_file, write_parts

HEADER_LIMIT = 16 * 2**20
"""The largest header that is read, in bytes: about 100,000 tensors."""

_CODES: dict[str, dtypes.DType] = {
    "F32": dtypes.float32, "F64": dtypes.float64, "I8": dtypes.int8, "I16": dtypes.int16,
    "I32": dtypes.int32, "I64": dtypes.int64, "U8": dtypes.uint8, "U64": dtypes.uint64,
    "BOOL": dtypes.bool_,
}  # fmt: skip
_NAMES = {dtype: code for code, dtype in _CODES.items()}
_ELSEWHERE = ("F16", "BF16", "U16", "U32", "F8_E4M3", "F8_E5M2", "C64")
_ZEROS = "0" * 64
_MARK = "chainrule"

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
    about = {"format": _MARK, "sha256": _ZEROS}
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ArgumentTypeError("save: metadata are texts by name", got=f"{key!r}: {text!r}")
        if key == "format" or key.startswith("sha256"):
            raise ArgumentError(f"save: the metadata key {key!r} is kept for the file itself")
        about[key] = text
    places, start = {}, 0
    for name in sorted(arrays, key=lambda n: -arrays[n].itemsize):  # so that all are aligned
        places[name] = (start, start + arrays[name].nbytes)
        start = places[name][1]
    header: dict[str, Any] = {"__metadata__": about}
    for name, array in arrays.items():
        code = _NAMES[array.dtype]
        about[f"sha256:{name}"] = _digest(name, code, array.shape, array)
        header[name] = {"dtype": code, "shape": array.shape, "data_offsets": places[name]}
    raw = to_json(header).encode()
    raw += b" " * (-len(raw) % 8)
    about["sha256"] = hashlib.sha256(raw).hexdigest()
    raw = to_json(header).encode().ljust(len(raw))
    data = [_bytes(arrays[name]) for name in places]
    write_parts(path, [len(raw).to_bytes(8, "little"), raw, *data])


def _array(name: Any, value: Any) -> Any:
    if not isinstance(name, str) or not name or name == "__metadata__" or _is_unsafe(name):
        raise ArgumentError("save: not a name for a tensor", got=repr(name))
    value = getattr(value, "_value", value)
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind not in "biuf":
        raise ArgumentTypeError(
            f"save: {name!r} is not a tensor",
            expected="tensors by name, as model.state_dict() gives them",
            got=f"{type(value).__name__} {getattr(value, 'dtype', '')}".strip(),
            fix="a Trainer's checkpoint for the state of optimizers" if name == "state" else None,
        )
    array = np.asarray(value)
    return np.ascontiguousarray(array, dtypes.as_dtype(array.dtype)).reshape(array.shape)


def _is_unsafe(name: str) -> bool:
    """Control characters, and what could climb out of a folder if a program made paths of it."""
    parts = name.replace("\\", "/").split("/")
    return any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in name) or ".." in parts


def _bytes(array: Any) -> Any:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data


def _digest(name: str, code: str, shape: tuple[int, ...], array: Any) -> str:
    digest = hashlib.sha256(f"{code} {list(shape)} {name}\n".encode())
    digest.update(_bytes(array))
    return digest.hexdigest()


# ---------------------------------------------------------------- reading


class _Entry(NamedTuple):
    name: str
    code: str
    shape: tuple[int, ...]
    start: int
    end: int


class _Header(NamedTuple):
    size: int  # of the header, with the 8 bytes before it
    entries: list[_Entry]
    about: dict[str, str]


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors by name, after every checksum in the file was found to be right.

    Raises FormatError that names what is intact where the file was cut or altered.
    """
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        return _read_tensors(os.fspath(path), file, size, _header(os.fspath(path), file, size))


def load_metadata(path: Path) -> dict[str, str]:
    """The texts by name that `save_tensors` put beside the tensors; reads the header only."""
    with open_file(path) as file:
        size = file.seek(0, os.SEEK_END)
        about = _header(os.fspath(path), file, size).about
    own = ("format", "sha256") if about.get("format") == _MARK else ()
    return {k: v for k, v in about.items() if k not in own and not k.startswith("sha256:")}


def _header(path: str, file: BufferedReader, size: int) -> _Header:
    file.seek(0)
    raw = _read_header(path, file, size)
    header = parse_json(raw, f"{path}: the header")
    about = header.pop("__metadata__", {})
    if not isinstance(about, dict) or not all(isinstance(v, str) for v in about.values()):
        _fail(path, "__metadata__ must hold texts by name")
    entries = [_entry(path, name, value) for name, value in header.items()]
    _check_places(path, entries)
    if any(k.startswith("sha256") for k in about) or about.get("format") == _MARK:
        _check_complete(path, raw, about, entries)
    return _Header(8 + len(raw), entries, about)


def _fail(path: str, problem: str, **rows: Any) -> NoReturn:
    rows.setdefault("fix", "an older checkpoint, or the file from its source again")
    raise FormatError(f"{path} is not a file of tensors that can be read: {problem}", **rows)


def _read_header(path: str, file: BufferedReader, size: int) -> bytes:
    head = file.read(9)
    length = int.from_bytes(head[:8], "little")
    if len(head) == 9 and head[8:] == b"{" and 1 < length <= min(size - 8, HEADER_LIMIT):
        return head[8:] + file.read(length - 1)
    for magic, what in _MAGIC:
        if head.startswith(magic) and head[8:] != b"{":
            tail = what.split(",")[0]
            fix = "save the weights as safetensors, or as arrays, with the program that made it"
            if "Py" in what:
                tail = f"{what}; pickles can run code, so they are never loaded"
                fix = "with PyTorch: safetensors.torch.save_file(model.state_dict(), path)"
            _fail(path, f"this is {tail}", expected="safetensors", fix=fix)
    if len(head) == 9 and head[8:] == b"{" and length <= HEADER_LIMIT:
        _fail(
            path, "it was cut short within its header; no tensor is intact",
            expected=f"more than {length + 8:,} bytes", got=f"{size:,} bytes",
        )  # fmt: skip
    _fail(
        path, "it is not in the safetensors format, or its beginning was altered",
        expected=f"8 bytes with the header's length, at most {HEADER_LIMIT:,}, and its '{{'",
        got=f"{size:,} bytes that begin with {head!r}",
    )  # fmt: skip


def _entry(path: str, name: str, value: Any) -> _Entry:
    if _is_unsafe(name):
        _fail(path, f"{name!r} is not a name for a tensor")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        _fail(path, f"{name!r} needs dtype, shape and data_offsets, no more")
    code, shape, places = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in _CODES:
        kept = f"tensors of {', '.join(_CODES)}"
        fix = "convert it to F32 with the program that made it" if code in _ELSEWHERE else None
        _fail(path, f"{name!r} is of a type that is not held", expected=kept, got=f"{code!r}"[:60],
              fix=fix)  # fmt: skip
    for numbers in (shape, places):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            _fail(path, f"{name!r}: shape and offsets must be whole numbers >= 0")
    if len(places) != 2 or len(shape) > 32:
        _fail(path, f"{name!r} needs two offsets and at most 32 dimensions")
    need = _CODES[code].itemsize
    for n in shape:
        need *= n
    if places[1] - places[0] != need or max(shape, default=0) >= 2**63:
        _fail(
            path, f"{name!r}: its shape and its place do not fit",
            expected=f"{need:,} bytes for {code} of shape {shape}"[:90],
            got=f"{places[1] - places[0]:,} bytes"[:90],
        )  # fmt: skip
    return _Entry(name, code, tuple(shape), *places)


def _check_places(path: str, entries: list[_Entry]) -> None:
    end = 0
    for entry in sorted(entries, key=lambda e: (e.start, e.end)):
        if entry.start != end:
            _fail(
                path, f"tensors overlap, or leave a gap, before {entry.name!r}",
                expected=f"offset {end}", got=f"offset {entry.start}"[:60],
            )  # fmt: skip
        end = entry.end


def _check_complete(path: str, raw: bytes, about: dict[str, str], entries: list[_Entry]) -> None:
    """That the header was not altered, and holds a checksum of each tensor and of no other."""
    told = about.get("sha256", "")
    zeroed = raw.replace(told.encode(), _ZEROS.encode(), 1) if len(told) == 64 else raw
    named = {k.removeprefix("sha256:") for k in about if k.startswith("sha256:")}
    if hashlib.sha256(zeroed).hexdigest() != told or named != {e.name for e in entries}:
        _fail(path, "the header was altered, so no tensor can be trusted")


def _read_tensors(path: str, file: BufferedReader, size: int, header: _Header) -> dict[str, Tensor]:
    end = header.size + max((e.end for e in header.entries), default=0)
    if size > end:
        _fail(
            path, "bytes follow the last tensor", expected=f"{end:,} bytes", got=f"{size:,} bytes"
        )
    tensors, broken = {}, []
    for entry in header.entries:
        array = _read(file, header.size, entry) if header.size + entry.end <= size else None
        if array is None or not _is_right(entry, array, header.about):
            broken.append(entry.name)
        else:
            tensors[entry.name] = wrap(array)
    if broken:
        kind = "it was cut short" if size < end else "bytes were altered"
        _fail(
            path, f"{kind}; broken: {_some(broken)}",
            expected=f"{end:,} bytes" + ("" if size < end else " with the right checksums"),
            got=f"{size:,} bytes; intact: {_some(list(tensors)) or 'none'}",
        )  # fmt: skip
    return tensors


def _read(file: BufferedReader, base: int, entry: _Entry) -> Any:
    dtype = _CODES[entry.code]
    array: Any = np.empty(entry.shape, dtype.newbyteorder("<"))
    file.seek(base + entry.start)
    got = file.readinto(array.reshape(-1).view(np.uint8).data)
    if got != array.nbytes:
        return None
    return array.view(dtype) if array.dtype == dtype else array.astype(dtype)


def _is_right(entry: _Entry, array: Any, about: dict[str, str]) -> bool:
    told = about.get(f"sha256:{entry.name}")
    if told is not None and told != _digest(entry.name, entry.code, entry.shape, array):
        return False
    return entry.code != "BOOL" or not (array.view(np.uint8) > 1).any()


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(n[:40] for n in names[:4]) + rest
