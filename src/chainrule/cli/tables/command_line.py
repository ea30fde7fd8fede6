"""The choices of a training on a table as the command that makes them."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from ...train import Run
from ..settings import FILE as SETTINGS
from .choices import TableChoices


def command_of(c: TableChoices, new: Mapping[str, Any]) -> str:
    """`chainrule train houses.csv --target price --lr 0.02 ..`: what was chosen, and new choices.

    >>> from chainrule.cli.tables.choices import TableChoices
    >>> command_of(TableChoices("a.csv", ("b",), layers=(8, 4), patience=None), {"lr": 0.02})
    'chainrule train a.csv --target b --layers 8,4 --no-early-stopping --lr 0.02'
    """
    parts = ["chainrule", "train", c.data]
    for field in dataclasses.fields(c)[1:]:
        value, flag = getattr(c, field.name), f"--{field.name.replace('_', '-')}"
        if value == field.default or field.name in new:
            continue
        if field.name == "layers":
            parts += [flag, _said(value)]
        elif field.name == "patience" and value is None:
            parts.append("--no-early-stopping")
        elif value is False:
            parts.append(f"--no-{field.name}")
        elif isinstance(value, tuple):
            parts += [word for text in value for word in (flag, text)]
        else:
            parts += [flag] if value is True else [flag, _said(value)]
    return shlex.join([*parts, *_options(new)])


def command_with(run: Run, new: Mapping[str, Any]) -> str:
    """`chainrule train --config runs/houses-0001/config.toml --lr 0.02`: a run, and new choices."""
    settings = str(run.path / SETTINGS)
    return shlex.join(["chainrule", "train", "--config", settings, *_options(new)])


def _options(new: Mapping[str, Any]) -> list[str]:
    return [
        word for name, value in new.items()
        for word in (f"--{name.replace('_', '-')}", _said(value))
    ]  # fmt: skip


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
