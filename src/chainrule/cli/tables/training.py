"""A run of a table, from the file to the score of held-out rows."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from ...data.tables import Table
from ...errors import ChainruleError, NonFiniteError
from ...report.charts import figure
from ...train import Run
from ...train.files import write_text
from ...train.tabular import TableFit, TableModel, TableWatch
from ..app import Interrupted, as_usage
from ..evaluate import Evaluation
from ..options import in_folder
from ..resuming import to_finish, told_of_ctrl_c
from ..settings import FILE as SETTINGS
from ..settings import seen_from, toml_lines
from ..terminal import Line, as_typed, detect
from ..waiting import waiting
from .applied import HELD_OUT, Judged, evaluation, model_of
from .choices import TableChoices, located, of_run, sha256_of
from .prepare import prepare
from .said import baseline, ended, guessed, validation
from .wording import told

SCHEMA = "chainrule table outcome 1"
EVERY_S = 5.0
"""Between two lines of a training at most, where nothing can be redrawn."""


def train(
    choices: TableChoices, options: dict[str, Any], kept: dict[str, int]
) -> ChainruleError | None:
    """A new run of a table; gives an error that came after everything was saved.

    kept: what was said of its checkpoints.
    """
    return _Job(choices, options, kept).whole(None)


def resume(run: Run, options: dict[str, Any]) -> ChainruleError | None:
    """Goes on with a run of a table that was interrupted, or makes the scores that it lacks."""
    return _Job(of_run(run, "begin a new run"), options).whole(run)


class _Job:
    """One training: options are those of the command that say where and how it is told."""

    def __init__(
        self, choices: TableChoices, options: dict[str, Any],
        kept: Mapping[str, int] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self.choices, self.options, self.kept = choices, options, dict(kept)
        stream = sys.stderr if options["as_json"] else sys.stdout
        self.terminal = detect(stream, plain=options["plain"])
        self.stream, self.quiet = stream, options["quiet"]

    def say(self, lines: list[Line]) -> None:
        """On the terminal, unless it is to be quiet."""
        if not self.quiet:
            for line in lines:
                click.echo(self.terminal.paint(line), file=self.stream, color=True)

    def whole(self, run: Run | None) -> ChainruleError | None:
        """Reads, trains, scores and tells."""
        whole = ", all with --json" if self.options["no_save"] else ", see config.json"
        self.rows = rows = prepare(self.choices, self.say, self.terminal, whole)
        fit, tested = rows.fit, rows.tested
        if run is not None:
            fit.resume(run)
        elif not self.options["no_save"]:
            run = self._created(fit)
        with told_of_ctrl_c(run, not self.options["no_report"]):
            if run is not None and to_finish(run):
                fit.stopped, model = (run.result or {})["stopped"], model_of(run)
            else:
                model = self._trained(fit, run)
            if run is not None and "keep" not in run.config.get("checkpoints", {}):
                run.checkpoints.prune(newest_only=True)  # the model has the best weights too
            held = base = None
            if tested is not None:
                held = self._scored(model, tested, run)
                base = baseline(held, rows.schema, rows.learned, rows.true)
            return self._told(fit, run, held, base)

    def _scored(self, model: TableModel, tested: Table, run: Run | None) -> Evaluation:
        """The scores of the held-out rows, noted in the run."""
        rows = self.rows
        scores, _ = model.judge(tested)
        held = evaluation(run.name if run else "the model", model,
                          Judged(tested, scores, rows.true, (), HELD_OUT))  # fmt: skip
        if run is not None:
            run.write_result(**_result(held), **guessed(rows.schema, rows.learned, rows.true))
        return held

    def _created(self, fit: TableFit) -> Run:
        o, c = self.options, self.choices
        config = {
            "table": c.used(fit.recipe, len(fit.members.members)).to_config(),
            "path": str(Path(located(c.data)).resolve()),
            "sha256": sha256_of(located(c.data)),
            "schema": self.rows.schema.to_json(), "parameters": fit.parameters,
            "batch": fit.members.batch,
            "model": f"{len(fit.members.members)} x mlp {'-'.join(map(str, fit.recipe.hidden))}",
        }  # fmt: skip
        if self.kept:
            config["checkpoints"] = self.kept
        name = o["name"] or _name_of(c.data)
        try:
            run = Run.create(name, o["runs_dir"], config, **self.kept)
        except ValueError as error:
            raise as_usage(error) if isinstance(error, ChainruleError) else error from None
        held = {**c.settings(), "data": seen_from(run.path, c.data), **self.kept}
        write_text(run.path / SETTINGS, toml_lines(held))
        return run

    def _trained(self, fit: TableFit, run: Run | None) -> TableModel:
        total = fit.recipe.epochs
        lines = None if self.terminal.live else _Log(total, len(fit.rows), self._logged)
        with waiting("training", "epochs", quiet=self.quiet or lines is not None) as progress:
            watch = None if run is None else TableWatch(self.options["watch_every"])
            tell = lines or (lambda row: progress(row["epoch"], total, _note(row)))
            try:
                model = fit.run(run, tell, watch=watch)
            except NonFiniteError as error:
                raise self._diverged(error, run) from None
        if fit.stopped == "interrupted":
            raise _interrupted(fit, run)
        return model

    def _diverged(self, error: NonFiniteError, run: Run | None) -> NonFiniteError:
        """The error with what to type next; the run gets its page."""
        if run is not None:
            problem, _ = self._reported(run)
            if problem is not None:
                click.echo(as_typed(f"no report: {problem.problem}"), err=True)
            more = in_folder(str(run.path.parent))
            error.fix = f"{error.fix}; {as_typed(f'chainrule diagnose {run.name}{more}')}"
        return error

    def _logged(self, text: str) -> None:
        if not self.quiet:
            click.echo(text, file=self.stream)

    def _told(
        self, fit: TableFit, run: Run | None, held: Evaluation | None, base: float | None
    ) -> ChainruleError | None:
        path = None if run is None else Path(run.path)
        problem, page = self._reported(run)
        if self.options["as_json"]:
            outcome = {
                "schema": SCHEMA, "run": run and run.name, "path": path and str(path),
                "columns": [told(x) for x in self.rows.schema.describe()], "rows": len(fit.data),
                "members": len(fit.members.members), "epochs": len(fit.rows),
                "stopped": fit.stopped, "seconds": fit.seconds, "baseline": base,
                "evaluation": None if held is None else held.to_json(),
                "report": page and str(page),
            }  # fmt: skip
            click.echo(json.dumps(outcome, indent=2))
            return problem
        t = detect(sys.stdout, plain=self.options["plain"])
        for line in ended(held, base, fit, path, t):
            click.echo(t.paint(line), color=True)
        if page is not None:
            click.echo(as_typed(f"page  {page}"))
        return problem

    def _reported(self, run: Run | None) -> tuple[ChainruleError | None, Path | None]:
        """The page; an error is handed back, since the training is not lost."""
        if run is None or self.options["no_report"]:
            return None, None
        from ..report import write_report

        try:
            return None, write_report(run)
        except ChainruleError as error:
            return error, None


class _Log:
    """A line for every tenth of the epochs, and where these are slow every few seconds.

    done: epochs that were made before; write: takes a line.
    """

    def __init__(self, total: int, done: int, write: Callable[[str], None]) -> None:
        self.total, self.write = total, write
        self.tenth, self.said = 10 * done // total, time.monotonic()

    def __call__(self, row: dict[str, Any]) -> None:
        tenth, now = 10 * row["epoch"] // self.total, time.monotonic()
        if tenth > self.tenth or now - self.said >= EVERY_S:
            self.tenth, self.said = tenth, now
            self.write(f"epoch {row['epoch']} of {self.total}: {_note(row)}")


def _interrupted(fit: TableFit, run: Run | None) -> Interrupted:
    where = f"stopped by {fit.signal} after step {fit.members.steps}, epoch {len(fit.rows)}"
    if run is None:
        return Interrupted(f"{where}; --no-save: nothing was kept", line="").by(fit.signal)
    fix = f"chainrule train --resume {run.name}{in_folder(str(run.path.parent))}"
    said = f"{where}; everything is saved in {run.path}"
    return Interrupted(said, fix=fix, line="").by(fit.signal)


def _note(row: dict[str, Any]) -> str:
    judged = next((k for k in row if k.startswith("val_")), None)
    tail = "" if judged is None else f", {validation(judged)} {figure(row[judged])}"
    return f"loss {row['loss']:.4g}{tail}"


def _result(held: Evaluation) -> dict[str, Any]:
    found: dict[str, Any] = {f"test_{k}": v for k, v in held.scores.items() if v is not None}
    if held.targets:
        found["targets"] = held.targets
    if held.labels:
        kept = ("name", "rows", "predicted", "right", "roc_auc")
        found |= {"test_rows": held.rows, "labels": [{k: e[k] for k in kept} for e in held.labels]}
    return found | ({"confusion": held.matrix} if held.matrix else {})


def _name_of(path: str) -> str:
    """A run's name from that of a file."""
    stem = "".join(
        c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in Path(path).stem
    )
    return stem.strip("-_") or "table"
