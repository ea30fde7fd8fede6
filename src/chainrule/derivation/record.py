"""Derivations as data, and networks to be derived from files."""

from __future__ import annotations

import json
import math
import tomllib
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, ChainruleError, FormatError
from .network import Layer, Network
from .parts import Derivation, Line
from .text import Text

SCHEMA = "chainrule derivation 1"


def as_data(d: Derivation, text: Text) -> dict[str, Any]:
    """A derivation for JSON: formulas as text, numbers with all their digits."""
    return {
        "schema": SCHEMA,
        "title": d.title,
        "conventions": d.conventions,
        "sections": [
            {"title": s.title, "note": s.note, "lines": [_line(line, text) for line in s.lines]}
            for s in d.sections
        ],
    }


def _line(line: Line, text: Text) -> dict[str, Any]:
    name, symbols, numbers, _, note = text.row(line)
    found = {"name": name, "symbols": symbols, "numbers": numbers, "value": in_json(line.value),
             "note": note}  # fmt: skip
    return {k: v for k, v in found.items() if v not in (None, "")}


def in_json(value: float | None) -> float | str | None:
    """A number for JSON, which has no nan and no infinity: those are texts."""
    return value if value is None or math.isfinite(value) else str(value)


KEYS = {"x", "y", "loss", "layers", "claims"}


def read(path: str | Path) -> tuple[Network, dict[str, str]]:
    """A network, and what an example claims of it, from a TOML, YAML or JSON file.

    x = [0.5, 0.3]
    y = [0.8]
    loss = "mse"
    [[layers]]
    weight = [[0.5, 0.3], [0.2, 0.4]]     # rows are inputs
    bias = [0.1, 0.2]
    activation = "sigmoid"
    [claims]
    "z1[1]" = 0.41

    Numbers stay texts, so that a claim of 0.50 has two digits.
    """
    data = _parsed(Path(path))
    if not isinstance(data, dict):
        raise FormatError(f"{path}: not a network", expected="x, y and layers")
    other, missing = set(map(str, data)) - KEYS, {"x", "y", "layers"} - set(data)
    if other or missing:
        raise FormatError(
            f"{path}: not a network", expected="x, y, layers, and loss if it is not mse",
            got=f"unknown: {', '.join(sorted(other))}" if other
            else f"missing: {', '.join(sorted(missing))}",
        )  # fmt: skip
    claims = data.get("claims") or {}
    if not isinstance(claims, dict):
        raise FormatError(f"{path}: claims must be names with numbers", got=repr(claims)[:60])
    try:
        layers = [_layer(i, layer) for i, layer in enumerate(data["layers"], 1)]
        network = Network(data["x"], layers, data["y"], data.get("loss", "mse"))
    except ChainruleError as error:
        error.problem = f"{path}: {error.problem}"
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"{path}: numbers in lists are expected", got=str(error)) from None
    return network, {str(k): str(v) for k, v in claims.items()}


def _parsed(path: Path) -> Any:
    """The content of a file, by its ending; numbers with a point as texts."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix in (".yaml", ".yml"):
            return _yaml(text)
        if path.suffix == ".json":
            return json.loads(text, parse_float=str)
        return tomllib.loads(text, parse_float=str)
    except (OSError, ValueError, RecursionError) as error:
        kind = path.suffix[1:].upper() or "TOML"
        got = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise FormatError(f"{path}: can't be read as {kind}", got=got) from None


def _yaml(text: str) -> Any:
    """YAML with every scalar as a text; nothing in it is ever called."""
    try:
        import yaml
    except ModuleNotFoundError:
        raise FormatError(
            "reading YAML needs a package that is not installed", expected="pyyaml",
            fix="pip install 'chainrule[yaml]', or write the file as TOML",
        ) from None  # fmt: skip
    steps = ({"[": 1, "{": 1, "]": -1, "}": -1}.get(c, 0) for c in text)
    if max(accumulate(steps), default=0) > DEEPEST:  # its time grows with the square of the depth
        raise ValueError("nested too deeply")
    try:
        return yaml.load(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _layer(i: int, data: Any) -> Layer:
    known = {"weight", "bias", "activation"}
    if not isinstance(data, dict) or set(data) - known or not {"weight", "bias"} <= set(data):
        raise ArgumentError(
            f"layer {i} is not one", expected="weight, bias and, if it has one, activation",
            got=", ".join(sorted(data)) if isinstance(data, dict) else repr(data),
        )  # fmt: skip
    return Layer(data["weight"], data["bias"], data.get("activation", "identity"))


DEEPEST = 100
"""Lists within lists, of which an example needs three."""
CASE_STUDY = Path(__file__).parent / "case_study.toml"


def case_study() -> Network:
    """The 2-2-1 network of the second article, with its weights."""
    return read(CASE_STUDY)[0]
