"""JSON schemas of everything that Chainrule writes as JSON, as files of this folder.

What commands print: `runs`, `outcome` (of train), `claims` (of check-example), `derivation`,
`diagnosis` (of diagnose), `preflight`, `resume` (of verify-resume), `playground` and `run` (of
export).  What a run's folder holds: `config`, `environment`, `metrics`, `layers` and `result`.
`summary` and `diagram` are of `chainrule.summary` and `chainrule.diagram`.
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
