"""What a run was made with: the command that repeats it, versions, the machine."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from ..version import __version__

PARTS = ("numpy", "llvmlite", "safetensors")
_SECRET = re.compile(r"(token|secret|password|passwd|api[-_]?key|credential)", re.IGNORECASE)


def environment(seed: int | None) -> dict[str, Any]:
    """The command (secrets hidden), versions, platform, CPUs and seed; no environment variables."""
    return {
        "command": command(sys.argv),
        "seed": seed,
        "chainrule": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PARTS},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def command(arguments: list[str]) -> str:
    """The command line as one would type it; what follows a word such as --token is hidden."""
    program = Path(arguments[0])
    head = [program.name]
    if program.name == "__main__.py":
        head = ["python", "-m", "chainrule"]
    elif program.suffix == ".py":
        head = ["python", arguments[0]]
    shown = []
    hide = False
    for word in arguments[1:]:
        name, sign, _ = word.partition("=")
        if hide:
            word = "***"
        hide = bool(_SECRET.search(name)) and word.startswith("-") and not sign
        shown.append(f"{name}=***" if sign and _SECRET.search(name) else word)
    return shlex.join([*head, *shown])


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
