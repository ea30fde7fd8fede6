"""JSON schemas of everything that Chainrule writes as JSON, as files of this folder.

What commands print with --json, what the files of a run's folder hold, what `summary`, `diagram`
and other objects give as data: the title of each says what it is of, `names()` lists them.
Draft 2020-12; `chainrule:config` is the file config.json here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all schemas."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def schema(name: str) -> dict[str, Any]:
    """A schema by its name.

    >>> from chainrule.schemas import schema
    >>> schema("metrics")["required"]
    ['epoch', 'step', 'loss']
    """
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found
