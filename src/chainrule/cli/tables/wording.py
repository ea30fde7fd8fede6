"""What errors of tables say to write in Python, in terms of the command line's options."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import ArgumentError, ArgumentTypeError, ChainruleError, FormatError
from ...tensor.memory import OutOfMemory
from ..app import UsageProblem, as_usage
from .options import SIGNS

NAMED = {sign: name for name, sign in reversed(SIGNS.items())}
"""The names of signs that a shell or a reader would take for something else."""
QUOTED = r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
CHOSEN = (
    (r"kinds=\{(['\"])(.+?)\1: '(\w+)'\}", r"--kind '\2=\3'"),
    (r"forms=\{(['\"])(.+?)\1: '([^']+)'\}", r"--form '\2=\3'"),
)
"""What is said of a column in Python, and what that is on the command line."""
PYTHON = (
    *CHOSEN,
    (r"kinds=\{name: '?(\w+)'?\}", r"--kind COLUMN=\1"),
    (r"with_values\(.+?\) leaves", "--skip-missing leaves"),
    (r"^kinds, drop and forms of other columns$", "--kind and --drop of other columns"),
    (r"header=False", "--no-header"), (r"header=True", "--header"),
    (r"quote=, if the file uses another sign", "the file from its source again"),
    (r"fewer folds, or a larger share", "fewer --folds, or a larger --val-fraction"),
    (r"smaller hidden\b", "smaller --layers"), (r"read_table\(np\.load\(path\)\)", "it as CSV"),
    (r"\b(delimiter|encoding|decimal|task|separator|missing)=(?!['\"\w])", r"--\1"),
)  # fmt: skip
"""What errors say to write in Python, and what that is on the command line."""
MISSING = re.compile(rf"missing=\[\.\., {QUOTED}\]")
WITH_VALUE = re.compile(rf"\b(delimiter|encoding|decimal|task|separator)={QUOTED}")


def told(text: str) -> str:
    """A text with options in place of Python's arguments.

    >>> told("encoding='cp1252', or delimiter=';'")
    '--encoding cp1252, or --delimiter semicolon'
    """
    text = MISSING.sub(lambda m: f"--missing {shlex.quote(ast.literal_eval(m[1]))}", text)
    text = WITH_VALUE.sub(lambda m: f"--{m[1]} {_typed(ast.literal_eval(m[2]))}", text)
    for python, option in PYTHON:
        text = re.sub(python, option, text)
    return text


def of_columns(text: str) -> str:
    """What is said of columns, with options where Python's arguments choose otherwise.

    >>> of_columns("'when': date; dates as %m/%d/%Y (or forms={'when': '%d/%m/%Y'})")
    "'when': date; dates as %m/%d/%Y (or --form 'when=%d/%m/%Y')"
    """
    for python, option in CHOSEN:
        text = re.sub(python, option, text)
    return text


def _typed(value: str) -> str:
    return NAMED.get(value, shlex.quote(value)) if value != "," else value


def as_options(error: ChainruleError) -> UsageProblem:
    """An error of a table in terms of options."""
    found = as_usage(error)
    owner = r"^(Schema\.infer|read_table)(, (\w+))?: "
    found.problem = re.sub(owner, lambda m: f"a {m[3]} target: " if m[3] else "", found.problem)
    found.fix = found.fix and told(found.fix)
    found.expected = found.expected and told(found.expected)
    return found


@contextmanager
def as_typed_badly() -> Iterator[None]:
    """What is wrong with a table or with what is said of it is a mistake in what was typed."""
    try:
        yield
    except (ArgumentError, ArgumentTypeError, FormatError) as error:
        if isinstance(error, UsageProblem):
            raise
        raise as_options(error) from None
    except OutOfMemory as error:
        error.fix = error.fix and told(error.fix)
        raise
