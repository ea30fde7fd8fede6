"""JSON schemas of everything that Chainrule writes as JSON, as files of this folder.

What commands print with --json, what the files of a run's folder hold, what `summary`, `diagram`
and other objects give as data: the title of each says what it is of, `names()` lists them.
Draft 2020-12.  In the files `chainrule:config` is the file config.json; a schema that `schema()`
gives holds all that it refers to in its own `$defs`, so that any validator takes it by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PREFIX = "chainrule:"
"""Of the `$id` of every schema."""


def names() -> list[str]:
    """The names of all schemas."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def schema(name: str) -> dict[str, Any]:
    """A schema by its name, with all that it refers to in `$defs`.

    >>> from chainrule.schemas import schema
    >>> schema("metrics")["required"]
    ['epoch', 'step', 'loss']
    >>> held = schema("preprocessing")
    >>> held["properties"]["schema"], "table" in held["$defs"]
    ({'$ref': '#/$defs/table'}, True)
    """
    found = _read(name)
    needed: dict[str, Any] = {}
    made = _bundled(found, "#", needed)
    if needed:
        made["$defs"] = {**made.get("$defs", {}), **dict(sorted(needed.items()))}
    return made


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _bundled(part: Any, root: str, needed: dict[str, Any]) -> Any:
    """A part of a schema that begins at `root` now; what it refers to is added to `needed`."""
    if isinstance(part, list):
        return [_bundled(p, root, needed) for p in part]
    if not isinstance(part, dict):
        return part
    made = {k: _bundled(v, root, needed) for k, v in part.items()}
    ref = part.get("$ref")
    if isinstance(ref, str) and ref.startswith(PREFIX):
        name = ref.removeprefix(PREFIX)
        if name not in needed:
            needed[name] = {}  # so that one that refers to itself is read once
            inner = _bundled(_read(name), f"#/$defs/{name}", needed)
            needed[name] = {k: v for k, v in inner.items() if k not in ("$schema", "$id")}
        made["$ref"] = f"#/$defs/{name}"
    elif isinstance(ref, str) and ref.startswith("#"):
        made["$ref"] = root + ref[1:]
    return made
