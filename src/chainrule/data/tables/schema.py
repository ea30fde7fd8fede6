"""`Schema`: what each column of a table is, as inferred or as asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError, FormatError
from .cells import MISSING, Cells, form_fault
from .infer import KINDS, Feature, infer_feature, is_texts, without_copies
from .table import Table, refuse_unknown, shorten, some_of
from .target import Target, infer_target

VERSION = 1


@dataclass(frozen=True)
class Schema:
    """What each column of a table is: features, columns left out, and the target.

    features: a `Feature` for every column that is not the target, in the table's order.
    target: a `Target`, or None. missing: the texts that stand for a missing value.
    """

    features: tuple[Feature, ...]
    target: Target | None
    missing: tuple[str, ...] = MISSING

    @classmethod
    def infer(
        cls,
        table: Table,
        target: str | Sequence[str] | None = None,
        *,
        kinds: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        task: str | None = None,
        metric: str | None = None,
        missing: Sequence[str] = MISSING,
        forms: Mapping[str, str] | None = None,
        separator: str | None = None,
    ) -> Schema:
        """What the columns of a table are; everything that is given is taken as it is.

        target: the column to predict, or several: columns of true and false are a multilabel task,
        columns of numbers a regression with several outputs.
        kinds: for some columns "numeric", "categorical", "boolean", "date" or "drop". drop: columns
        to leave out. task: "regression", "binary", "multiclass" or "multilabel". metric: one of
        `chainrule.train.metrics` that fits the task (default "rmse", "accuracy" or "f1"): in it the
        result is said, and another than that also chooses the best epoch (see Recipe). missing: the
        texts that stand for a missing value. forms: for some columns the form of their dates, as
        `datetime.strptime` takes it. separator: the sign between the labels in one cell of the
        target.

        Raises ArgumentError for a column that isn't there (with the closest name), for cells that
        are not of the kind asked for or are slips among numbers (with their lines), for a target
        with missing values, with one class or with a class of one row, and where nothing is left
        to learn from.  Unlike scikit-learn, whole numbers of many values are a regression.

        >>> import chainrule
        >>> from chainrule.data import Schema
        >>> schema = Schema.infer(chainrule.data.penguins(), "species", drop=["year"])
        >>> print("\\n".join(schema.describe()[:5]))
        target 'species': multiclass by accuracy; 3 classes (Adelie 152, Gentoo 124, Chinstrap 68)
        'island': categorical; 3 different texts
        'bill_length_mm': numeric; numbers from 32.1 to 59.6, 2 missing
        'bill_depth_mm': numeric; numbers from 13.1 to 21.5, 2 missing
        'flipper_length_mm': numeric; numbers from 172 to 231, 2 missing
        """
        if not isinstance(table, Table):
            raise ArgumentTypeError(
                "Schema.infer needs a Table", got=type(table).__name__, fix="read_table(..) first"
            )
        targets = _texts("target", () if target is None else target)
        forms, spelled = _words("forms", forms), _texts("missing", missing)
        wanted = _wanted(table, targets, _words("kinds", kinds), _texts("drop", drop), forms)
        cells = {c.name: Cells(c, spelled, table.decimal) for c in table}
        found = None
        if targets:
            found = infer_target(table, targets, spelled, task, metric, separator)
        elif (task, metric, separator) != (None, None, None):
            raise ArgumentError("Schema.infer: a task, metric or separator needs a target")
        features = [
            infer_feature(table, cells[n], wanted.get(n), forms.get(n))
            for n in table.names
            if n not in targets
        ]
        features = without_copies(features, cells, {*wanted, *forms}, targets)
        _need_features(features, table)
        return cls(tuple(features), found, spelled)

    @property
    def used(self) -> tuple[Feature, ...]:
        """The features that are not left out."""
        return tuple(f for f in self.features if f.kind != "drop")

    def describe(self) -> list[str]:
        """A line for the target and for each column: what it is taken for, and why."""
        lines = []
        if self.target is not None:
            t = self.target
            names = some_of([repr(shorten(n)) for n in t.names])
            lines.append(f"target {names}: {t.task} by {t.metric}; {t.why}")
        for f in self.features:
            kind = "left out" if f.kind == "drop" else f.kind
            lines.append(f"{shorten(f.name)!r}: {kind}; {f.why}")
        said = ["an empty cell" if m == "" else m for m in self.missing]
        lines.append(f"missing: {', '.join(said) or 'no text'}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The schema as JSON can hold it: `chainrule.schemas.schema("table")`."""
        return {
            "version": VERSION,
            "target": None if self.target is None else self.target.to_json(),
            "features": [f.to_json() for f in self.features],
            "missing": list(self.missing),
        }

    @classmethod
    def from_json(cls, data: Any) -> Schema:
        """The schema that `to_json` gave; FormatError for anything else."""
        try:
            if data["version"] != VERSION:
                raise FormatError(
                    "the schema of a table is of another version", expected=str(VERSION),
                    got=str(data["version"])[:20],
                )  # fmt: skip
            features = tuple(Feature.from_json(f) for f in data["features"])
            target = None if data["target"] is None else Target.from_json(data["target"])
            names = [f.name for f in features] + list(target.names if target else ())
            if len(set(names)) < len(names) or not is_texts(data["missing"]):
                raise ValueError("a column that stands twice, or a missing value that is no text")
            return cls(features, target, tuple(data["missing"]))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(
                "not the schema of a table", expected="what Schema.to_json gives",
                got=f"{type(error).__name__}: {error}"[:80],
            ) from None  # fmt: skip


def _wanted(
    table: Table,
    targets: tuple[str, ...],
    kinds: dict[str, str],
    drop: tuple[str, ...],
    forms: dict[str, str],
) -> dict[str, str]:
    """The kinds asked for, after the names and words are looked at."""
    for name in (*targets, *kinds, *drop, *forms):
        if name in table.unread and name not in drop and kinds.get(name) != "drop":
            table[name]  # says what it holds
        if name not in table and name not in table.unread:
            what = "target" if name in targets else "column"
            refuse_unknown(name, table.names, f"{table.source} has no {what}")
    for name, kind in kinds.items():
        if kind not in KINDS:
            refuse_unknown(kind, KINDS, f"column {shorten(name)!r}: there is no kind")
    both = [n for n in targets if n in kinds or n in drop or n in forms]
    twice = [n for n in targets if targets.count(n) > 1]
    if both or twice:
        raise ArgumentError(
            f"Schema.infer: {shorten((both or twice)[0])!r} is the target"
            + ("" if both else " twice"),
            expected="kinds, drop and forms of other columns" if both else "each column once",
        )
    for name, form in forms.items():
        refuse_form(name, form)
    wrong = [n for n in forms if kinds.get(n, "date") != "date" or n in drop]
    if wrong:
        raise ArgumentError(f"Schema.infer: {shorten(wrong[0])!r} has a form, but is no date")
    return kinds | dict.fromkeys(drop, "drop")


def refuse_form(name: str, form: str) -> None:
    """Raises for what is no form of dates."""
    fault = form_fault(form)
    if fault is not None:
        raise ArgumentError(
            f"column {shorten(name)!r}: {form!r} is no form of dates", got=fault,
            expected="a form such as %d.%m.%Y, %m/%d/%y %H:%M or %d %b %Y, or ISO",
        )  # fmt: skip


def _texts(what: str, given: Any) -> tuple[str, ...]:
    """A text, or several, as a tuple."""
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, Iterable) or not all(isinstance(t, str) for t in texts):
        raise ArgumentTypeError(f"Schema.infer: {what} must be texts", got=repr(given)[:40])
    return tuple(texts)


def _words(what: str, given: Any) -> dict[str, str]:
    """A text for each of some columns."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not is_texts([*given, *given.values()]):
        raise ArgumentTypeError(
            f"Schema.infer: {what} must be a dict from columns to texts", got=repr(given)[:40]
        )
    return dict(given)


def _need_features(features: list[Feature], table: Table) -> None:
    if not any(f.kind != "drop" for f in features):
        gone = [f"{shorten(f.name)!r}: {f.why}" for f in features]
        gone += [f"{shorten(name)!r}: {held}" for name, held in table.unread.items()]
        reasons = "; ".join(gone[:3])
        raise ArgumentError(
            "no column is left to learn from",
            expected="at least one besides the target",
            got=reasons or "the target alone",
            fix="kinds={name: kind} takes a column in" if features else None,
        )
