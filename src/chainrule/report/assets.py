"""The scripts of others that a page carries: held to their checksums, packed to under half."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
from pathlib import Path

from ..errors import FormatError

FOLDER = Path(__file__).parent / "assets"
PAGE = Path(__file__).parent / "page"
DRAWING = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")
LAYOUT = ("dagre.min.js",)


@functools.cache
def checksums() -> dict[str, str]:
    """The SHA-256 of every file, as they were when they were taken in."""
    lines = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


@functools.cache
def vendored(name: str) -> str:
    """A file's text.  Raises FormatError where it is not the file that was taken in."""
    data = (FOLDER / name).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != checksums()[name]:
        raise FormatError(
            f"chainrule/report/assets/{name} has been changed", expected=checksums()[name][:16],
            got=found[:16], fix="pip install --force-reinstall chainrule", line="",
        )  # fmt: skip
    return data.decode().replace("//# sourceMappingURL=", "// map: ")


@functools.cache
def packed(text: str) -> str:
    """A script as gzip in base64, which browsers unpack by themselves; always the same."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def own(name: str) -> str:
    """A file of the page itself."""
    return (PAGE / name).read_text(encoding="utf-8")


def policy(scripts: list[str]) -> str:
    """What a page may do: run these scripts and no others, and ask nobody for anything."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in scripts
    )
    return (f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
            "base-uri 'none'; form-action 'none'")  # fmt: skip
