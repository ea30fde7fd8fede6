"""The choices of a training on a table, as plain values."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...data.tables import Schema, Table, read_table
from ...data.tables.cells import MISSING, with_values
from ...data.tables.reading import SUFFIXES
from ...errors import FormatError, StateError
from ...nn.tabular import ACTIVATIONS
from ...train import Run
from ...train.tabular import Recipe
from ..app import UsageProblem

FEW_ROWS, FOLDS = 3000, 5
"""With fewer rows to learn from, so many networks are trained, each with other rows held out."""
PATIENCE, VAL_SHARE = 40, 0.2
OF_RECIPE = {
    "layers": "hidden", "activation": "activation", "dropout": "dropout", "lr": "lr",
    "label_smoothing": "label_smoothing", "weight_decay": "weight_decay", "epochs": "epochs",
    "batch_size": "batch_size", "patience": "patience",
}  # fmt: skip
"""Options of `train` by what a Recipe calls them."""
EMBEDDED = {"penguins": "species"}
"""Tables that come with the package, and what is learned from them for a start."""
READING = ("delimiter", "decimal", "encoding", "header")
"""Options of how a file is written."""
NOT_FOR_TABLES = (
    "init", "optimizer", "momentum", "clip_grad_norm", "schedule", "steps", "tol", "eager",
    "sweep_steps",
)  # fmt: skip
"""Options that the recipe for tables has no use for; a table has no sweep, only trials."""


@dataclass(frozen=True)
class TableChoices:
    """What is learned, from which file, and how; None is found out or as the recipe has it."""

    data: str
    target: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    form: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    skip_missing: bool = False
    task: str | None = None
    metric: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    header: bool | None = None
    separator: str | None = None
    folds: int | None = None
    test_fraction: float = 0.2
    val_fraction: float | None = None
    seed: int = 0
    layers: tuple[int, ...] | None = None
    activation: str | None = None
    dropout: float | None = None
    label_smoothing: float | None = None
    lr: float | None = None
    weight_decay: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    patience: int | None = PATIENCE

    def to_config(self) -> dict[str, Any]:
        """For config.json: lists in place of tuples."""
        held = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in held.items()}

    def settings(self) -> dict[str, Any]:
        """For config.toml: what a later `--config` has to be told."""
        held = {k: v for k, v in self.to_config().items() if v != [] or k == "layers"}
        return held if self.patience is not None else {**held, "early_stopping": False}

    def recipe(self) -> Recipe:
        """The recipe with what was chosen."""
        names = {f.name for f in dataclasses.fields(Recipe)}
        chosen = {there: getattr(self, here) for here, there in OF_RECIPE.items()}
        assert set(chosen) <= names
        given = {k: v for k, v in chosen.items() if v is not None or k == "patience"}
        return Recipe(metric=self.metric, **given)

    def used(self, r: Recipe, folds: int) -> TableChoices:
        """With what a training took for all that was not said."""
        taken = {here: getattr(r, there) for here, there in OF_RECIPE.items()}
        share = self.val_share if folds == 1 else None
        return dataclasses.replace(self, folds=folds, val_fraction=share, **taken)

    def table(self, progress: Callable[[int, int], None] | None = None) -> Table:
        """The table in the file."""
        return read_table(located(self.data), progress=progress, **self.reading)

    @property
    def reading(self) -> dict[str, Any]:
        """What was said of how the file is written."""
        return {name: getattr(self, name) for name in READING if getattr(self, name) is not None}

    def schema(self, table: Table) -> Schema:
        """What its columns are, with what was chosen."""
        kinds, forms = of_pairs("kind", self.kind), of_pairs("form", self.form)
        return Schema.infer(table, self.target, kinds=kinds, drop=self.drop, task=self.task,
                            metric=self.metric, missing=self.spelled, forms=forms,
                            separator=self.separator)  # fmt: skip

    @property
    def spelled(self) -> tuple[str, ...]:
        """The texts that stand for no value."""
        return (*MISSING, *self.missing)

    def with_target(self, table: Table) -> tuple[Table, int]:
        """The rows that have a target, and how many have none; all, unless that was asked for."""
        if not self.skip_missing:
            return table, 0
        rest = with_values(table, self.target, self.spelled)
        return rest, len(table) - len(rest)

    def folds_for(self, rows: int) -> int:
        """How many networks learn so many rows; one, where its share of held-out rows is said."""
        few = rows <= FEW_ROWS and self.val_fraction is None
        return self.folds or (FOLDS if few else 1)

    @property
    def val_share(self) -> float:
        """The share of rows that are held out from a network that learns alone."""
        return VAL_SHARE if self.val_fraction is None else self.val_fraction


def is_table(data: str) -> bool:
    """Whether this names a file with a table and not a data set."""
    named = Path(data).suffix.lower() in SUFFIXES or data in EMBEDDED
    return named or os.path.isfile(data)  # which is False for any text


def located(data: str) -> str:
    """The path of a table: one that comes with the package unless there is a file of that name."""
    if data not in EMBEDDED or os.path.isfile(data):
        return data
    return str(files("chainrule.data") / "assets" / f"{data}.csv")


def choose(data: str, given: dict[str, Any]) -> TableChoices:
    """The choices that were typed; raises for those that tables have no use for."""
    odd = [name for name in NOT_FOR_TABLES if name in given]
    if odd:
        flag = f"--{odd[0].replace('_', '-')}"
        raise UsageProblem(
            f"{flag} is not for tables: their recipe has its own", got=f"{flag} with {data}",
            expected="--layers, --lr, --epochs, --dropout, --weight-decay, --folds ..",
            fix=f"without {flag}", line="",
        )  # fmt: skip
    activation = given.get("activation")
    if activation is not None and activation not in ACTIVATIONS:
        raise UsageProblem(
            f"--activation {activation} is not for tables", expected=", ".join(ACTIVATIONS),
            got=activation, line="",
        )  # fmt: skip
    given = dict(given)
    if given.pop("early_stopping", None) is False:
        if "patience" in given:
            raise UsageProblem(
                "--patience says how long early stopping waits, but it is off", line=""
            )
        given["patience"] = None
    if not given.get("target"):
        raise UsageProblem(
            f"train {data}: what is to be learned?", expected="--target COLUMN", line="",
            fix=f"chainrule train {data} --target {EMBEDDED.get(data, 'NAME')}",
        )  # fmt: skip
    if given.get("val_fraction") == 0:
        raise UsageProblem(
            "--val-fraction 0 leaves no row to choose the best epoch by", line="",
            expected="a share above 0, or --folds",
        )  # fmt: skip
    folds = given.get("folds") or 1
    if folds > 1 and "val_fraction" in given:
        raise UsageProblem(
            f"--val-fraction does nothing beside --folds {folds}: of each network another "
            f"1/{folds} of the rows is held out", line="",
            fix=f"--val-fraction {given['val_fraction']:g} for one network, or --folds alone",
        )  # fmt: skip
    for option in PAIRS:
        of_pairs(option, given.get(option, ()))
    return TableChoices(data, **given)


PAIRS = {"kind": "postcode=categorical", "form": "sold=%d.%m.%Y"}
"""The options that say something of a column, each with an example."""


def of_pairs(option: str, typed: Iterable[str]) -> dict[str, str]:
    """What is said of columns, from texts such as COLUMN=KIND; raises for one without a sign.

    >>> of_pairs("form", ["a=b=%Y"])
    {'a=b': '%Y'}
    """
    for text in typed:
        if "=" not in text:
            raise UsageProblem(f"--{option} must be COLUMN={option.upper()}", got=repr(text),
                               fix=f"--{option} {PAIRS[option]}", line="")  # fmt: skip
    return dict(text.rsplit("=", 1) for text in typed)


def from_config(config: Any, where: str) -> TableChoices:
    """The choices in a run's config; raises where there are none."""
    held = config.get("table") if isinstance(config, dict) else None
    names = {f.name for f in dataclasses.fields(TableChoices)}
    if not isinstance(held, dict) or not isinstance(held.get("data"), str) or set(held) - names:
        raise FormatError(f"{where}: not a run of `chainrule train TABLE`", line="")
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in held.items()}
    return TableChoices(**plain)


def is_table_run(config: Any) -> bool:
    """Whether a run's config is one of a table."""
    return isinstance(config, dict) and "table" in config


def of_run(run: Run, fix: str) -> TableChoices:
    """The choices of a run with the path of its own file, where that is still what it was.

    It is looked for where it lay when the run began, then by the path that was typed.  Raises where
    there is none, or another one by now.  fix: what to do then.
    """
    choices = from_config(run.config, str(run.path))
    places = [p for p in (run.config.get("path"), choices.data) if isinstance(p, str)]
    changed = False
    for path in places:
        path = located(path)
        try:
            same = sha256_of(path) == run.config.get("sha256")
        except OSError:
            continue
        if same:
            own = choices.data in EMBEDDED and path == located(choices.data)
            return choices if own else dataclasses.replace(choices, data=path)
        changed = True
    if changed:
        raise StateError(
            f"{choices.data} has changed since {run.name} learned from it",
            got=places[0], fix=fix, line="",
        )  # fmt: skip
    raise UsageProblem(
        f"{run.name} learned from {choices.data}, and there is no such file any more",
        expected=places[0], fix=f"put it there again; or {fix}", line="",
    )  # fmt: skip


def sha256_of(path: str) -> str:
    """The file's checksum: whether it is still the one that was learned from."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
