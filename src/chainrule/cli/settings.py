"""Choices in a TOML file: whatever an option of the command may say.  Options win over the file.

Every run folder holds such a file, config.toml, so that `--config` repeats the run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from ..errors import FormatError, some_names
from .app import PLACES, UsageProblem, did_you_mean
from .options import Name, Number, Sizes
from .recipe import DATA as SETS
from .recipe import WITH_MOMENTUM, Recipe
from .tables.choices import is_table, located

FILE, DATA = "config.toml", "data"
NOT_HELD = frozenset({"resume", "as_json", "plain", "quiet", "help", "runs_dir", "config"})
"""What says how a command is called this time, and not what it makes."""
KEPT = {
    "checkpoint_steps": Number(1, 10**9, whole=True), "keep": Number(1, 10**6, whole=True),
}  # fmt: skip
"""Options of the checkpoints that a run keeps."""
OF_RUNS = frozenset({*KEPT, "name", "threads", "watch_every", "no_save", "no_report"})
"""What a training may be told besides its choices; a command that makes no run passes over it."""


def settings_option(function: Any) -> Any:
    """--config FILE.toml."""
    return click.option(
        "--config", metavar="FILE.toml", is_eager=True, expose_value=False, callback=_take,
        help="Choices from a file, as `lr = 0.01`; options win over it. A table's path is seen "
        "from the file.",
    )(function)  # fmt: skip


def _take(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
    if path is not None:
        held = read_settings(path, ctx.command)
        ctx.default_map = {**(ctx.default_map or {}), **held}
        text = _text_of(path)
        ctx.meta[PLACES] = {name: f"{path}:{_line_of(name, text)}" for name in held}


def read_settings(path: str, command: click.Command) -> dict[str, Any]:
    """The choices in a file, by the parameter names of a command; raises with file and line."""
    text = _text_of(path)
    try:
        held = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageProblem(f"{path}: not TOML: {error}", line="") from None
    except RecursionError:
        raise UsageProblem(f"{path}: nested too deeply", line="") from None
    except ValueError as error:  # of int and date, for what is written as none can be
        raise UsageProblem(f"{path}: not TOML: {str(error).split(';')[0]}", line="") from None
    known = {
        p.name: p for p in command.params
        if p.name and p.name not in NOT_HELD and p.expose_value
    }  # fmt: skip
    found: dict[str, Any] = {}
    for key, value in held.items():
        name = key.replace("-", "_")
        where = f"{path}:{_line_of(key, text)}"
        if _has_endless(value):
            raise UsageProblem(f"{where}: {key}: a whole number of TOML has at most 64 bits",
                               line="")  # fmt: skip
        if _of_runs(name, value, known.get(name)):
            continue
        if name not in known:
            raise UsageProblem(
                f"{where}: there is no setting {key!r}", expected=some_names(sorted(known)),
                got=key, line="", fix=did_you_mean(name, tuple(known))
                or f"chainrule {_asking()} --help lists the options, which are its settings",
            )  # fmt: skip
        if name in found:
            raise UsageProblem(f"{where}: {key!r} stands there twice", line="")
        if name == DATA and isinstance(value, str):
            value = _seen_from_here(value, path)
        found[name] = _checked(known[name], value, where)
    return found


def _of_runs(name: str, value: Any, option: click.Parameter | None) -> bool:
    """Whether a setting is about a run's folder, and the command makes none."""
    if option is None:
        return name in OF_RUNS
    return name in KEPT and type(value) is int and option.type is not KEPT[name]  # tune's --keep


def _asking() -> str:
    asking = click.get_current_context(silent=True)
    return (asking and asking.info_name) or "train"


def _has_endless(value: Any) -> bool:
    """Whether a whole number in a value has more digits than TOML, or Python's printing, takes."""
    if isinstance(value, (list, dict)):
        return any(map(_has_endless, value.values() if isinstance(value, dict) else value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def seen_from(folder: str | os.PathLike[str], data: str) -> str:
    """The path of a table as a file in a folder holds it: one that was typed whole stays so.

    Such a folder finds its table after both were moved together.
    """
    if os.path.isabs(data) or located(data) != data:
        return data
    return os.path.relpath(data, os.path.realpath(folder))


def _seen_from_here(data: str, file: str) -> str:
    """What seen_from undoes; what is no path of a table stays: a data set, a run."""
    found = os.path.join(os.path.realpath(os.path.dirname(file)), data)
    if os.path.isabs(data) or data.lower() in SETS or not is_table(found):
        return data
    return os.path.relpath(found)


def _text_of(path: str) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path}: not UTF-8 text (byte {error.start})", line="") from None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        raise UsageProblem(f"--config: no file {path!r}", line="") from None
    except OSError as error:
        raise UsageProblem(f"--config: can't read {path}: {error.strerror}", line="") from None


def _line_of(key: str, text: str) -> int:
    written = re.escape(key).replace("_", "[-_]")
    found = re.search(rf"""^[ \t]*(["']?){written}\1[ \t]*[=.]""", text, re.M)
    found = found or re.search(rf"^[ \t]*\[+[ \t]*{written}", text, re.M)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _checked(param: click.Parameter, value: Any, where: str) -> Any:
    """A value as the option's kind takes it."""
    kind = param.type
    if isinstance(param, click.Option) and param.is_flag:
        fits, wanted = isinstance(value, bool), "true or false"
    elif isinstance(kind, Number):
        fits = isinstance(value, int if kind.whole else (int, float)) and type(value) is not bool
        wanted = f"a {'whole ' if kind.whole else ''}number {kind.range}"
    elif param.multiple:
        value = [value] if isinstance(value, str) else value
        fits = isinstance(value, list) and all(type(v) is str for v in value)
        wanted = "a text, or a list of texts"
    elif isinstance(kind, Sizes):
        fits = isinstance(value, list) and all(type(n) is int for n in value)
        wanted = "a list of whole numbers, [] for no hidden layer"
        value = (",".join(map(str, value)) or "none") if fits else value
    else:
        fits, wanted = isinstance(value, str), "a text"
        wanted = f"one of {', '.join(kind.names)}" if isinstance(kind, Name) else wanted
    said = f"{where}: {param.name}"
    if not fits:
        raise UsageProblem(f"{said} must be {wanted}", got=json.dumps(value, default=str)[:60],
                           line="")  # fmt: skip
    if param.multiple or type(value) is bool:
        return value
    try:
        return kind.convert(value, param, None)
    except UsageProblem as error:
        error.problem = f"{where}: {error.problem}"
        raise


def kept_in(config: Mapping[str, Any], where: str) -> dict[str, int]:
    """What was said of a run's checkpoints when it began; raises where it is no such thing."""
    held = config.get("checkpoints", {})
    sound = isinstance(held, dict) and all(
        k in KEPT and type(v) is int and KEPT[k].low <= v <= KEPT[k].high for k, v in held.items()
    )
    if not sound:
        raise FormatError(
            f"{where}: not what a run keeps of its checkpoints", got=repr(held)[:60], line="",
            expected=f"whole numbers: {', '.join(KEPT)}",
        )  # fmt: skip
    return dict(held)


def to_toml(r: Recipe, kept: Mapping[str, int] = MappingProxyType({})) -> str:
    """A recipe as a file that `--config` takes.  kept: see KEPT.

    >>> from chainrule.cli.recipe import Recipe
    >>> print(to_toml(Recipe("digits")).splitlines()[0])
    data = "digits"
    """
    held = {f.name: getattr(r, f.name) for f in dataclasses.fields(r)}
    if r.optimizer not in WITH_MOMENTUM:
        del held["momentum"]
    if r.patience is None:
        held["early_stopping"] = False
    return toml_lines({**held, **kept})


def toml_lines(held: Mapping[str, Any]) -> str:
    """Plain values by name as TOML; None stands for what is not said."""
    return "".join(f"{name} = {_spelled(v)}\n" for name, v in held.items() if v is not None)


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_spelled, value))}]"
    return json.dumps(value) if isinstance(value, str) else repr(value)
