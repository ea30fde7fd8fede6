"""The form of a file in the cache: a header in JSON and parts of bytes, under a checksum.

    file := "chainrule code 1\\n" sha256 header_bytes(8) header part*

The checksum covers everything behind it.  The header says what the file is for and how long its
parts are, so one that was cut, altered, or put under another name is found out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ..errors import FormatError

MAGIC = b"chainrule code 1\n"
_START = len(MAGIC) + 32


def seal(key: str, header: dict[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """The bytes of a file."""
    about = {"key": key, "parts": [len(p) for p in parts], **header}
    text = json.dumps(about).encode()
    body = b"".join([len(text).to_bytes(8, "little"), text, *parts])
    return MAGIC + hashlib.sha256(body).digest() + body


def unseal(key: str, data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Header and parts; raises FormatError unless the file is whole and made for the key."""
    if not data.startswith(MAGIC):
        raise FormatError("cache: not a file of compiled code")
    body = memoryview(data)[_START:]
    if hashlib.sha256(body).digest() != data[len(MAGIC) : _START]:
        raise FormatError("cache: a file was cut or altered")
    try:
        end = 8 + int.from_bytes(body[:8], "little")
        header = json.loads(bytes(body[8:end]))
        parts = []
        for size in header.pop("parts"):
            parts.append(bytes(body[end : end + size]))
            end += size
        if header.pop("key") != key or end != len(body):
            raise FormatError("cache: a file stands under the name of another")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError("cache: a file of an unknown form") from error
    return header, parts
