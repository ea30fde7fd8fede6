"""Data that come with the package, each file with its checksum."""

from __future__ import annotations

import hashlib
import pkgutil

from ..errors import FormatError


def embedded(name: str, sha256: str) -> bytes:
    """The bytes of a file of assets/; FormatError if it was altered."""
    data = pkgutil.get_data(__package__, f"assets/{name}") or b""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise FormatError(
            f"{name} is not the file that the package was built with",
            expected=f"SHA-256 {sha256}",
            got=f"SHA-256 {found}, {len(data)} bytes",
            fix="install chainrule again",
        )
    return data
