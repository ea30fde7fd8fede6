"""Files changed as damage or malice would: bytes, words of the format, the tree of a JSON text."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from contextlib import suppress

WORDS = (
    b"NaN", b"-Infinity", b"1e999", b"-0.0", b"9" * 5000, b"9223372036854775808", b"-1", b"null",
    b"true", b'""', b"[" * 3000, b'{"a":' * 3000, b"]", b"}", b'"', b",", b":", b"\x00", b"\xff",
    b"\\ud800", b"\xed\xa0\x80", b"$tensor", b"__metadata__", b"../..", b"\n", b"\r", b"\t", b"#",
    b"'''", b"=", b"[[x]]", b"\xef\xbb\xbf", b"PK\x03\x04", b"\x80\x04", b"F32", b"BOOL", b"1979",
)  # fmt: skip
DEEP = "deep"
VALUES = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64 - 1, -(2**63), 10**400, 0.5, -1e308, "", "x",
    "x" * 999, "..", "a/../b", "\x00", "nan", "F64", "BOOL", [], {}, [0, 0], [[]], {"": 0}, DEEP,
    {"$tensor": "nowhere"}, {"$tensor": []}, {"$float": "x"}, {"$float": []}, {"$tuple": 3},
    {"$dict": [[1, 2]]}, {"$dict": [[[], 2]]}, {"$dict": 3}, {"$counter": [[1]]},
    {"$counter": [[[], 1]]}, {"$counter": 0},
)  # fmt: skip
"""What a value of a JSON text is exchanged for."""


def mutated(rng: random.Random, data: bytes, kind: str) -> bytes:
    """One to four changes; `kind` says where the JSON text is, if there is one."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = _once(rng, data, kind)
    return data


def _once(rng, data, kind):
    way = rng.randrange(8)
    if way < 4 and kind in REBUILT:
        with suppress(RecursionError):  # it is too deep already
            return REBUILT[kind](rng, data)
    at = rng.randint(0, len(data))
    if way == 4:
        return data[:at]
    if way == 5:
        return data[:at] + rng.choice(WORDS) + data[at + rng.choice((0, 0, 1, 8)) :]
    if way == 6:
        other = rng.randint(0, len(data))
        return data[:at] + data[other : other + rng.choice((1, 8, 100))] + data[at:]
    out = bytearray(data or b"\x00")
    for _ in range(rng.choice((1, 1, 3, 20))):
        out[rng.randrange(len(out))] = rng.choice((0, 255, 32, 34, 44, 123, rng.randrange(256)))
    return bytes(out)


# ---------------------------------------------------------------- trees


def changed(rng, tree):
    """A JSON value with one place in it changed."""
    places = list(_places(tree, None, None))
    holder, key = rng.choice(places)
    if holder is None:
        return rng.choice(VALUES)
    way = rng.randrange(5)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[rng.choice(("", "x", "..", "$tensor", "__metadata__", "sha256"))] = holder.pop(key)
    elif way == 2:
        other, at = rng.choice(places)
        if other is not None:
            holder[key] = json.loads(json.dumps(other[at]))
    elif way == 3:
        holder[key] = [holder[key]]
    else:
        holder[key] = rng.choice(VALUES)
    return tree


def _places(tree, holder, key):
    yield holder, key
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree if isinstance(tree, list) else ())
    )
    for at, held in items:
        yield from _places(held, tree, at)


def text_of(tree):
    """A tree as JSON; the word DEEP as lists within lists."""
    return json.dumps(tree).replace(f'"{DEEP}"', "[" * 500 + "]" * 500).encode()


def rebuilt_json(rng, data):
    """A JSON text with another tree."""
    tree = parsed(data)
    return data if tree is None else text_of(changed(rng, tree))


def parsed(data):
    """The value of a JSON text, None where it is none any more."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def rebuilt_lines(rng, data):
    """One of several JSON texts changed."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = rebuilt_json(rng, lines[at])
    return b"\n".join(lines)


def rebuilt_manifest(rng, data):
    """A manifest with another state, mostly with the checksum that belongs to it."""
    tree = parsed(data)
    if not isinstance(tree, dict):
        return data
    tree = changed(rng, tree)
    if isinstance(tree, dict) and rng.random() < 0.9:
        tree.pop("sha256", None)
        held = json.dumps(tree, sort_keys=True).encode()
        tree["sha256"] = hashlib.sha256(held).hexdigest()
    return json.dumps(tree).encode()


def rebuilt_tensors(rng, data):
    """A safetensors file with another header, sometimes with the checksum that belongs to it."""
    size = int.from_bytes(data[:8], "little")
    raw, rest = data[8 : 8 + size], data[8 + size :]
    tree = parsed(raw)
    if not isinstance(tree, dict):
        return data
    raw = text_of(changed(rng, tree))
    if rng.random() < 0.5 and (at := raw.find(b'sha256\\":\\"')) >= 0:
        at += len(b'sha256\\":\\"')
        blank = raw[:at] + b"0" * 64 + raw[at + 64 :]
        told = hashlib.sha256(struct.pack("<Q", len(raw)) + blank).hexdigest().encode()
        raw = raw[:at] + told + raw[at + 64 :]
    length = len(raw) if rng.random() < 0.9 else rng.choice((0, 1, size, 2**40, 2**64 - 1))
    return struct.pack("<Q", length) + raw + rest


REBUILT = {
    "json": rebuilt_json, "lines": rebuilt_lines, "manifest": rebuilt_manifest,
    "tensors": rebuilt_tensors,
}  # fmt: skip
