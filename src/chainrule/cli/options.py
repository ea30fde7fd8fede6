"""Kinds of option values, each with its range in the message and the nearest name."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from ..errors import ChainruleError
from ..train import Run, open_run
from ..train.run import RUNS
from .app import UsageProblem, as_usage, did_you_mean
from .tables.choices import is_table

MOST_SHOWN = 60
"""Of what was typed, in a message."""


def _name_of(param: click.Parameter | None) -> str:
    return param.opts[-1] if isinstance(param, click.Option) else "the argument"


def shown(value: Any) -> str:
    """As it was typed, unless that is endless."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}.."


class Name(click.ParamType):  # type: ignore[type-arg]
    """One of several names; anything else is answered with the nearest of them."""

    name = "name"

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        return "[" + "|".join(self.names) + "]"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value).lower()
        if text not in self.names:
            what = "data set" if isinstance(param, click.Argument) else _name_of(param)
            raise UsageProblem(
                f"there is no {what} {str(value)!r}",
                expected=", ".join(self.names),
                fix=did_you_mean(text, self.names),
                line="",
            )
        return text


class Number(click.ParamType):  # type: ignore[type-arg]
    """A finite number, or a whole one, in a range; `open_low`, `open_high`: without that end."""

    def __init__(
        self, low: float, high: float = math.inf, *, whole: bool = False,
        open_low: bool = False, open_high: bool = False,
    ) -> None:  # fmt: skip
        self.low, self.high, self.whole = low, high, whole
        self.open_low, self.open_high = open_low, open_high
        self.name = "n" if whole else "number"

    @property
    def range(self) -> str:
        """The range as text: [0, 1), >= 1, > 0."""
        if self.high == math.inf:
            return f"{'>' if self.open_low else '>='} {self.low}"
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"in {left}{self.low}, {self.high}{right}"

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        return "N" if self.whole else "X"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | int:
        try:
            number: float | int = int(value) if self.whole else float(value)
        except (ValueError, OverflowError):
            number = math.nan
        inside = (
            abs(number) <= sys.float_info.max
            and (number > self.low if self.open_low else number >= self.low)
            and (number < self.high if self.open_high else number <= self.high)
        )
        if not inside:
            kind = "a whole number" if self.whole else "a finite number"
            raise UsageProblem(
                f"{_name_of(param)} must be {kind} {self.range}", got=shown(value), line=""
            )
        return number


class Sizes(click.ParamType):  # type: ignore[type-arg]
    """`128,64`: sizes of the hidden layers; `none` for no hidden layer."""

    name = "sizes"

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        return "N,N,.."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if value.strip().lower() == "none":
            return ()
        try:
            sizes = tuple(int(part) for part in value.split(","))
        except ValueError:
            sizes = (0,)
        if not all(1 <= n <= 65536 for n in sizes):
            raise UsageProblem(
                f"{_name_of(param)} must be whole numbers from 1 to 65536 with commas between",
                got=shown(value),
                fix=f"{_name_of(param)} 128,64   (or none: no hidden layer)",
                line="",
            )
        return sizes


def plain_option(function: Any) -> Any:
    """--plain."""
    return click.option(
        "--plain", is_flag=True, help="One fact a line, nothing redrawn: for screen readers."
    )(function)


def runs_dir(function: Any) -> Any:
    """--runs-dir."""
    told = "Where the runs lie [runs]."
    return click.option("--runs-dir", default="runs", metavar="DIR", help=told)(function)


def in_folder(folder: str) -> str:
    """What a command needs besides a run's name where the runs lie elsewhere: ` --runs-dir DIR`."""
    return "" if folder == RUNS else f" --runs-dir {shlex.quote(folder)}"


def run_argument(*, required: bool = True) -> Callable[[Any], Any]:
    """RUN: a path, a name such as digits-0001, or digits for the newest of that name."""
    return click.argument("run", required=required, metavar="RUN" if required else "[RUN]")


def find_run(name: str, folder: str) -> Run:
    """The run that is meant; a name that is none is a mistake in what was typed."""
    try:
        return open_run(name, folder)
    except ChainruleError as error:
        if is_table(name):
            raise UsageProblem(
                f"{name!r} is a table, not a run", expected=error.expected, line="",
                fix=f"chainrule train {shlex.quote(name)} --target COLUMN, then its run",
            ) from None  # fmt: skip
        raise as_usage(error) from None
