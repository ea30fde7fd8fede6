"""Derivations as data, and networks to be derived from files."""

from __future__ import annotations

import tomllib
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
    found = {"name": name, "symbols": symbols, "numbers": numbers, "value": line.value,
             "note": note}  # fmt: skip
    return {k: v for k, v in found.items() if v not in (None, "")}


KEYS = {"x", "y", "loss", "layers"}


def read(path: str | Path) -> Network:
    """A network from a TOML file.

    x = [0.5, 0.3]
    y = [0.8]
    loss = "mse"
    [[layers]]
    weight = [[0.5, 0.3], [0.2, 0.4]]     # rows are inputs
    bias = [0.1, 0.2]
    activation = "sigmoid"
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FormatError(f"{path}: can't be read as TOML", got=str(error)) from None
    other = set(data) - KEYS
    missing = {"x", "y", "layers"} - set(data)
    if other or missing:
        raise FormatError(
            f"{path}: not a network", expected="x, y, [[layers]], and loss if it is not mse",
            got=f"unknown: {', '.join(sorted(other))}" if other
            else f"missing: {', '.join(sorted(missing))}",
        )  # fmt: skip
    try:
        layers = [_layer(i, layer) for i, layer in enumerate(data["layers"], 1)]
        return Network(data["x"], layers, data["y"], data.get("loss", "mse"))
    except ChainruleError as error:
        error.problem = f"{path}: {error.problem}"
        raise
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path}: numbers in lists are expected", got=str(error)) from None


def _layer(i: int, data: Any) -> Layer:
    known = {"weight", "bias", "activation"}
    if not isinstance(data, dict) or set(data) - known or not {"weight", "bias"} <= set(data):
        raise ArgumentError(
            f"layer {i} is not one", expected="weight, bias and, if it has one, activation",
            got=", ".join(sorted(data)) if isinstance(data, dict) else repr(data),
        )  # fmt: skip
    return Layer(data["weight"], data["bias"], data.get("activation", "identity"))


def case_study() -> Network:
    """The 2-2-1 network of the second article, with its weights."""
    layers = [
        Layer([[0.5, 0.3], [0.2, 0.4]], [0.1, 0.2], "sigmoid"),
        Layer([[0.6], [0.7]], [0.3], "sigmoid"),
    ]
    return Network([0.5, 0.3], layers, [0.8])
