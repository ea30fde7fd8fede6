"""What Chainrule says when something is wrong.

Every error carries the problem, what was expected, what came, the layer, the user's line and
the change that mends it. The classes also inherit the exception type that PyTorch raises, so
that an `except` clause written for PyTorch still catches.
"""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterable
from itertools import islice
from types import CodeType, FrameType
from typing import Any

PACKAGE_DIR = os.path.dirname(os.path.abspath(__file__)) + os.sep
LIBRARY_DIR = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
LONGEST_SOURCE = 60
OF_DATACLASS = "__create_fn__."
"""How the names of functions begin that `dataclass` writes; `python -c` is "<string>" too."""
_INTERNAL_FILES: set[str] = set()
_USER_FILES: set[str] = set()

Site = tuple[CodeType, int]
"""A place in the user's code: the code object and the offset of the running instruction."""


def _is_internal(filename: str) -> bool:
    internal = filename.startswith(PACKAGE_DIR) or _is_of_python(filename)
    (_INTERNAL_FILES if internal else _USER_FILES).add(filename)
    return internal


def _is_of_python(filename: str) -> bool:
    """Whether a file is of Python's own library, which can stand between ours and the user's."""
    return filename.startswith(LIBRARY_DIR) and "-packages" + os.sep not in filename


def user_site(depth: int = 1) -> Site | None:
    """The innermost frame outside this package; cheap enough to be taken at every op."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        filename = code.co_filename
        if (
            filename not in _INTERNAL_FILES
            and (filename in _USER_FILES or not _is_internal(filename))
            and not (filename == "<string>" and code.co_qualname.startswith(OF_DATACLASS))
        ):
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def no_user_code() -> None:
    """Everything that is running now is no user's code: a command line has no line to name."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        _INTERNAL_FILES.add(frame.f_code.co_filename)
        frame = frame.f_back


def describe_site(site: Site | None) -> str | None:
    """`model.py:12` for a site, or None where there is none."""
    if site is None:
        return None
    code, offset = site
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= offset < end and number is not None:
            line = number
            break
    return f"{os.path.basename(code.co_filename)}:{line}"


def source_of(site: Site | None) -> str:
    """The expression that runs at a site, with the user's own names: `hidden + bias`."""
    if site is None:
        return ""
    code, offset = site
    place = next(islice(code.co_positions(), offset // 2, None), (None,) * 4)
    line, last, start, end = place
    if line is None or line != last or start is None or end is None:
        return ""
    text = linecache.getline(code.co_filename, line).encode()[start:end].decode(errors="replace")
    return text if len(text) <= LONGEST_SOURCE else text[: LONGEST_SOURCE - 3] + "..."


def some_names(names: Iterable[str], room: int = 90) -> str:
    """Names with commas between, all of them or as many as there is room for, then "...".

    >>> some_names(["adam", "sgd", "lion"], room=12)
    'adam, sgd, ...'
    """
    text = ""
    for name in names:
        longer = f"{text}, {name}" if text else name
        if text and len(longer) > room:
            return f"{text}, ..."
        text = longer
    return text


class ChainruleError(Exception):
    """Base of every error that Chainrule raises on purpose.

    `problem` is one line. `expected`, `got` and `fix` are short texts; `line` is found by itself.
    `layer` is filled in by the modules through which the error passes (`Module.__call__`), `steps`
    by a native loop that ends by the error (`Compiled.loop`).
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        fix: str | None = None,
        line: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.expected = expected
        self.got = got
        self.fix = fix
        self.site = user_site(2) if line is None else None
        self.line = describe_site(self.site) if line is None else line
        self.layer: str | None = None
        self.steps: str | None = None  # where a native loop ended
        self.module: Any = None

    def __str__(self) -> str:
        source = source_of(self.site)
        rows = [
            ("expected", self.expected),
            ("got", self.got),
            ("layer", self.layer),
            ("line", f"{self.line}  {source}" if source else self.line),
            ("steps", self.steps),
            ("try", self.fix),
        ]
        text = [f"  {label:<9} {value}" for label, value in rows if value]
        return "\n".join([self.problem, *text])


class ShapeError(ChainruleError, RuntimeError):
    """Shapes that do not fit each other."""


class DTypeError(ChainruleError, RuntimeError):
    """Element types that do not fit each other, or the operation."""


class GradError(ChainruleError, RuntimeError):
    """Backpropagation was asked for something that it can't give."""


class ArgumentError(ChainruleError, ValueError):
    """An argument outside its range."""


class ArgumentTypeError(ChainruleError, TypeError):
    """An argument of the wrong kind."""


class IndexRangeError(ChainruleError, IndexError):
    """An index or a class label outside its table."""


class TraceError(ChainruleError, TypeError, RuntimeError):
    """Something that can't be part of a compiled function, such as a look at a value."""


class RecompileError(ChainruleError, RuntimeError):
    """A compiled function was recorded again where that was ruled out, or far too often."""


class NonFiniteError(ChainruleError, RuntimeError):
    """A nan or an infinity where training needs numbers; `op`: the operation found, if any."""

    op: str | None = None


class StateError(ChainruleError, RuntimeError):
    """A state_dict, a checkpoint or an object that does not fit the model at hand."""


class FormatError(ChainruleError, ValueError):
    """A file that is not what it claims to be, or that was cut or altered."""


class ExportError(ChainruleError, ValueError):
    """Something that a program is made of, and that the form it is to be written in can't say."""


class OutputError(ChainruleError, OSError):
    """A file or folder that can't be written."""
