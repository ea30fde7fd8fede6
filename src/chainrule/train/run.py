"""Run: the folder of one training, `runs/<name>-NNNN/`.

config.json           what was asked for, and the trainer's parts
config.toml           the choices, where a command made the run: `--config` takes them
environment.json      the command that repeats it, versions, machine, seed
metrics.jsonl         one line an epoch
layers.jsonl          one line for each look inside, where it was watched (`train.Watch`)
model.safetensors     the weights as fit leaves them
result.json           how it ended
diagnosis.json        what fixes did that were tried (`chainrule diagnose --try`)
report.html           the page of the run
nan/                  the step that went to nan, where one did: `python nan/repro.py` makes it again
checkpoints/          generations of the whole state
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, FormatError, OutputError
from ..ops.core import is_number
from ..schemas import schema
from ..schemas.fits import misfit
from ..tensor.core import Tensor
from .checkpoint import KEEP, Checkpoints
from .environment import environment
from .files import (
    MissingFileError,
    append_line,
    check_writable,
    load_tensors,
    names_in,
    read_json,
    read_json_lines,
    remove_file,
    save_tensors,
    sweep,
    to_json,
    write_folder,
    write_json,
    write_text,
    writing,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RUNS = "runs"
CONFIG_BYTES = 65536
"""More than the files take that a run holds besides its checkpoints, before the first epoch."""


class InUseError(OutputError):
    """A run folder in which another program is training."""


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


class Run:
    """A run folder that exists: made by `Run.create`, found by `open_run` and `list_runs`.

    keep: how many checkpoints stay, besides the best (3).  checkpoint_seconds: one is written after
    an epoch if the last is older (1.0), and always when the fit ends.  checkpoint_steps: writes one
    every so many steps, too.  say: gets notices, such as a checkpoint that had to
    be skipped (default: to stderr).
    """

    def __init__(
        self, path: str | Path, *, keep: int = KEEP, checkpoint_seconds: float = 1.0,
        checkpoint_steps: int | None = None, say: Callable[[str], None] = _to_stderr,
    ) -> None:  # fmt: skip
        for name, count in (("keep", keep), ("checkpoint_steps", checkpoint_steps)):
            if count is not None and (type(count) is not int or count < 1):
                raise ArgumentError(f"Run: {name} must be a whole number >= 1", got=repr(count))
        if not is_number(checkpoint_seconds) or not checkpoint_seconds >= 0:
            raise ArgumentError(
                "Run: checkpoint_seconds must be a number >= 0", got=repr(checkpoint_seconds)
            )
        self.path = Path(path)
        self.name = self.path.name
        self.checkpoints = Checkpoints(self.path / "checkpoints", keep)
        self.checkpoint_seconds = checkpoint_seconds
        self.checkpoint_steps = checkpoint_steps
        self.say = say
        self.building: str | None = None
        """The lines of Python that make model, loss and optimizer again, where they are known."""

    @classmethod
    def create(
        cls, name: str, folder: str | Path = RUNS, config: Mapping[str, Any] | None = None,
        need_bytes: int = 0, **settings: Any,
    ) -> Run:  # fmt: skip
        """A new folder with the next number; two processes never get the same one.

        config: whatever describes the run, in terms of JSON.  need_bytes: where there is less
        room, OutputError and no folder.  settings: see Run.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise ArgumentError(
                "a run's name consists of letters, digits, '-', '_' and '.'",
                got=repr(name),
            )
        folder = Path(folder)

        def fill(path: str) -> None:
            write_json(os.path.join(path, "config.json"), {"config": dict(config or {})})

        try:
            writing.disk.make_folder(str(folder))
            sweep(folder)  # a program may have been stopped while it made its run
            if need_bytes:
                check_writable(folder, need_bytes + CONFIG_BYTES)
            path = _next_folder(folder, name, fill)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(
                f"can't make a run folder in {folder}", got=error.strerror,
                fix="a folder that you may write to", line="",
            ) from error  # fmt: skip
        return cls(path, **settings)

    # ------------------------------------------------------------ what it holds

    @property
    def config(self) -> dict[str, Any]:
        """What the run was made with."""
        config = self._read("config.json").get("config", {})
        return config if isinstance(config, dict) else {}

    @property
    def described(self) -> dict[str, Any]:
        """All of config.json: the config, and what the trainer and its callbacks said of it."""
        return self._read("config.json")

    @property
    def environment(self) -> dict[str, Any]:
        """The command, versions and machine."""
        return self._read("environment.json")

    @property
    def result(self) -> dict[str, Any] | None:
        """How the run ended; None while it goes on, or where it was cut off.

        Raises FormatError where the file holds what is no result.
        """
        held = self._read("result.json")
        if not held:
            return None
        path = self.path / "result.json"
        again = f"remove it; chainrule train --resume {self.name} writes it again"
        _check(held, "result", f"{path} is no result", again)
        return held

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The epochs logged so far; a last line that was cut is left out."""
        path = self.path / "metrics.jsonl"
        try:
            rows = read_json_lines(path)
        except MissingFileError:
            return []
        for i, row in enumerate(rows, 1):
            _check(row, "metrics", f"{path}:{i} is no epoch")
        return rows

    @property
    def has_model(self) -> bool:
        """Whether model.safetensors is there, whole or not."""
        return (self.path / "model.safetensors").is_file()

    def load_state(self) -> dict[str, Any]:
        """The newest checkpoint that is whole; which newer ones were skipped, and why, is said."""
        state, path, skipped = self.checkpoints.load()
        for other, reason in skipped:
            self.say(f"{self.name}: checkpoint {other.name} is skipped: {reason}")
        if skipped:
            self.say(f"{self.name}: goes on from {path.name}, step {state['step']}")
        return state

    def load_model(self) -> dict[str, Tensor]:
        """The weights in model.safetensors, for `model.load_state_dict`."""
        try:
            return load_tensors(self.path / "model.safetensors")
        except MissingFileError:
            raise FormatError(
                f"{self.path}: the run has no model yet", expected="model.safetensors",
                fix=f"chainrule train --resume {self.name}, to its first whole epoch", line="",
            ) from None  # fmt: skip
        except FormatError as error:
            error.fix = f"chainrule train --resume {self.name}: the last checkpoint gives it again"
            raise

    def _read(self, name: str) -> dict[str, Any]:
        try:
            held = read_json(self.path / name)
        except MissingFileError:
            return {}
        if not isinstance(held, dict):
            raise FormatError(
                f"{self.path / name} is no file of a run", got=repr(held)[:40], line=""
            )
        return held

    # ------------------------------------------------------------ writing

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other trainers and programs out while this one trains in the folder.

        Raises InUseError where one is in it.  The lock ends with the program, however that ends;
        where the system knows no such locks there is none.
        """
        handle = None
        try:
            with suppress(OSError):
                handle = os.open(self.path, os.O_RDONLY)
            if handle is not None and fcntl is not None:
                _lock(handle, self.path)
            yield
        finally:
            if handle is not None:
                os.close(handle)

    def begin(self, need_bytes: int, parts: Mapping[str, Any], seed: int | None) -> None:
        """Checks that there is room, sweeps, and notes what runs where.

        Raises OutputError where there is no room.
        """
        for folder in (self.path, self.checkpoints.folder):
            check_writable(folder, need_bytes)
        self.describe(trainer=dict(parts))
        if not (self.path / "environment.json").exists():
            write_json(self.path / "environment.json", environment(seed))

        remove_file(self.path / "result.json")

    def describe(self, **sections: Any) -> None:
        """Puts sections beside the config in config.json."""
        write_json(self.path / "config.json", {**self.described, **sections})

    def log(self, row: Mapping[str, Any]) -> None:
        """Adds an epoch to metrics.jsonl."""
        append_line(self.path / "metrics.jsonl", to_json(row))

    def rewrite_log(self, rows: list[dict[str, Any]]) -> None:
        """metrics.jsonl with these rows only: what was logged after the checkpoint is cut off."""
        text = "".join(to_json(row) + "\n" for row in rows)
        write_text(self.path / "metrics.jsonl", text)

    def save_model(self, weights: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
        """Writes model.safetensors; `about` goes into its metadata."""
        save_tensors(self.path / "model.safetensors", dict(weights), dict(about))

    def write_result(self, **values: Any) -> None:
        """Adds values to result.json."""
        write_json(self.path / "result.json", {**(self.result or {}), **values})

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def _check(value: Any, kind: str, problem: str, fix: str | None = None) -> None:
    """Raises where a value that was read is not what the schema of this name says."""
    found = misfit(value, _schema(kind))
    if found is not None:
        place = f"{found.place}: " if found.place else ""
        raise FormatError(problem, expected=f"{place}{found.expected}", got=repr(found.got)[:40],
                          fix=fix, line="")  # fmt: skip


_schema = cache(schema)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUseError(
            f"another program is training in {path}", fix="wait until it ends, or a new run",
            line="",
        ) from None  # fmt: skip
    except OSError:  # a network disk without locks
        return


def _next_folder(folder: Path, name: str, fill: Callable[[str], None]) -> Path:
    numbers = [n for held in names_in(folder) if (n := _number_of(held, name)) is not None]
    number = max(numbers, default=0)
    while True:
        number += 1
        path = folder / f"{name}-{number:04d}"
        if write_folder(path, fill):
            return path


def _number_of(folder: str, name: str) -> int | None:
    match = re.fullmatch(re.escape(name) + r"-(\d{4,})", folder)
    return int(match[1]) if match else None


def list_runs(folder: str | Path = RUNS) -> list[Run]:
    """The runs in a folder, by name and number; none where there is no such folder."""
    folder = Path(folder)
    names = [n for n in names_in(folder) if n[0] != "."]  # or one that is being made
    found = [p for n in names if ((p := folder / n) / "config.json").is_file()]
    return [Run(p) for p in sorted(found, key=_by_number)]


def _by_number(path: Path) -> tuple[str, int]:
    name, _, number = path.name.rpartition("-")
    return (name, int(number)) if number.isdigit() else (path.name, 0)


def open_run(run: str | Path | Run, folder: str | Path = RUNS) -> Run:
    """A run by its path, by its name in `folder` ('digits-0003'), or by a name's newest ('digits').

    Raises ArgumentError with the nearest names where there is none.
    """
    if isinstance(run, Run):
        return run
    if not isinstance(run, (str, Path)):
        raise ArgumentTypeError(
            "open_run: a run is said by its path or its name", got=type(run).__name__,
            expected="a text, a Path or a Run", fix="open_run('digits-0001')",
        )  # fmt: skip
    for path in (Path(run), Path(folder) / run):
        if os.path.isfile(path / "config.json"):  # False for any text
            return Run(path)
    known = list_runs(folder)
    newest = [r for r in known if _number_of(r.name, str(run)) is not None]
    if newest:
        return newest[-1]
    names = [r.name for r in known]
    near = difflib.get_close_matches(str(run), names, 3, 0.4)
    raise ArgumentError(
        f"no run {str(run)!r}",
        expected=f"a run folder, or a name in {folder}",
        got=f"{len(names)} runs there" + (f", the newest {names[-1]}" if names else ""),
        fix=f"did you mean {' or '.join(near)}?" if near else "chainrule runs lists them",
        line="",
    )
