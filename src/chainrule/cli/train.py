"""`chainrule train`: learns an embedded data set, shows how, and says how well it went."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import ArgumentError, ChainruleError, NonFiniteError, OutputError
from ..report.boundary import Frames
from ..report.dynamics import ROWS, Batch
from ..runtime.threads import set_num_threads
from ..tensor.core import Tensor
from ..train import Callback, History, Run, Trainer, Watch
from ..train.checkpoint import KEEP
from ..train.compiled import UNCOMPILED
from ..train.files import write_text
from ..train.recorder import room_bytes
from ..train.run import InUseError
from ..train.watch.watch import EVERY
from . import recipe as recipes
from .app import Interrupted, UsageProblem, as_usage
from .options import Name, Number, Sizes, in_folder, plain_option, runs_dir
from .recipe import Parts, Recipe
from .report import write_report
from .results import Outcome, outcome_of, results
from .resuming import opened, scored, to_finish, told_of_ctrl_c
from .settings import FILE as SETTINGS
from .settings import KEPT, settings_option, to_toml
from .tables import training as tables
from .tables.choices import choose as choose_table
from .tables.choices import is_table_run
from .tables.options import ONLY_FOR_TABLES, OfBoth, Source, table_options
from .terminal import Terminal, as_typed, detect
from .view.facts import Facts
from .view.screen import Screen, screen_for
from .view.show import Answer, Show


def choices() -> list[tuple[str, Any, str, Any]]:
    """The choices of a recipe that have a value: flag, kind, words, default of the digits."""
    d = Recipe("digits")
    share = Number(0, 1, open_high=True)
    whole = Number(1, 10**9, whole=True)
    above = Number(0, open_low=True)
    return [
        ("--layers", Sizes(), "Sizes of hidden layers", "256,128"),
        ("--activation", Name(tuple(recipes.ACTIVATIONS)), "Between the layers", d.activation),
        ("--dropout", share, "Share of hidden units left out in training", d.dropout),
        ("--init", Name(tuple(recipes.INITS)), "How weights start", d.init),
        ("--label-smoothing", share, "Share of certainty taken from targets", d.label_smoothing),
        ("--optimizer", Name(tuple(recipes.OPTIMIZERS)), "Rule of the update", d.optimizer),
        ("--lr", above, "Learning rate, at its highest", "by optimizer; 0.003 for adamw"),
        ("--momentum", share, "For sgd and rmsprop", 0),
        ("--weight-decay", Number(0), "Pull of weights to 0", "0.01 for adamw, else 0"),
        ("--clip-grad-norm", above, "Longest gradient, all weights together", None),
        ("--schedule", Name(tuple(recipes.SCHEDULES)), "Course of the learning rate", d.schedule),
        ("--batch-size", whole, "Rows an update", d.batch_size),
        ("--epochs", whole, "Passes over the rows", d.epochs),
        ("--steps", Number(1, 10**12, whole=True), "At most so many updates", None),
        ("--tol", above, "Stop when the loss changes by less from epoch to epoch", None),
        ("--patience", whole, "Epochs without a better one until early stopping", d.patience),
        ("--val-fraction", Number(0, 0.9), "Share of rows to validate on", d.val_fraction),
        ("--seed", Number(0, 2**63 - 1, whole=True), "Same seed, same bits", d.seed),
    ]


def recipe_options(function: Any) -> Any:
    """Everything that makes up a recipe; the defaults told are those of the digits."""
    function = click.option(
        "--eager", is_flag=True, default=None,
        help="Step by step in NumPy; without it the training step is compiled.",
    )(function)  # fmt: skip
    function = click.option(
        "--early-stopping/--no-early-stopping", default=None,
        help="Stop when validation no longer improves, and keep the best weights [on]; a table's "
        "are those of its best epoch either way.",
    )(function)  # fmt: skip
    for flag, kind, text, default in reversed(choices()):
        told = f"{text}." if default is None else f"{text} [{default}]."
        function = click.option(flag, type=kind, help=told)(function)
    return settings_option(function)


def threads_option(function: Any) -> Any:
    """--threads."""
    told = "At most so many, compiled."
    return click.option("--threads", type=Number(1, 4096, whole=True), help=told)(function)


@click.command(cls=OfBoth, short_help="Trains a network on DATA, and shows how it learns.")
@click.argument("data", type=Source(), required=False)
@recipe_options
@table_options
@click.option("--name", help="Name of the run folder, NAME-0001 [the data set].")
@runs_dir
@threads_option
@click.option("--checkpoint-steps", type=KEPT["checkpoint_steps"],
              help="Also a checkpoint every so many updates [none: by epoch].")  # fmt: skip
@click.option("--keep", type=KEPT["keep"],
              help=f"Checkpoints that stay, besides the best [{KEEP}; of a table learned to its "
                   "end the last alone].")  # fmt: skip
@click.option(
    "--watch-every",
    type=Number(1, 10**9, whole=True),
    help="Steps between two looks inside, and more where that would cost too much "
    f"[{EVERY}, and fewer looks in a training that is over in a moment].",
)
@click.option("--resume", metavar="RUN",
              help="Go on with a run that was interrupted, or make what it lacks.")  # fmt: skip
@click.option("--no-save", is_flag=True, help="Write no files.")
@click.option("--no-report", is_flag=True, help="Write no report.html into the run.")
@click.option("--quiet", "-q", is_flag=True, help="The result only.")
@plain_option
@click.option("--json", "as_json", is_flag=True, help="The result as JSON; progress on stderr.")
def command(
    data: str | None, name: str | None, runs_dir: str, resume: str | None, no_save: bool,
    no_report: bool, quiet: bool, plain: bool, as_json: bool, threads: int | None,
    watch_every: int | None, checkpoint_steps: int | None, keep: int | None, **chosen: Any,
) -> None:  # fmt: skip
    """Trains a network on DATA: digits, moons, circles, spiral, xor, or a table of yours.

    A table is a file in CSV, TSV, JSON lines or Parquet with a --target, or penguins, which comes
    along; what its columns are is found out and said, and can be said with the options. Ends with
    the score on examples that were held out from the start, and where the run lies. On a terminal
    e, d, r, p and q are heard while a data set is learned: explain a weight, diagnose, write the
    report, pause, and quit as Ctrl-C does (saved; exit code 130).

    \b
    Examples:
      chainrule train digits
      chainrule train digits --layers 64 --activation tanh --optimizer sgd
      chainrule train spiral --epochs 200 --seed 3
      chainrule train penguins --target species
      chainrule train houses.csv --target price --drop id
      chainrule train --resume digits-0001
    """
    if threads is not None:
        set_num_threads(threads)
    unsaid = dict.fromkeys(ONLY_FOR_TABLES, ())  # where an option may come more than once
    given = {k: v for k, v in chosen.items() if v is not None and v != unsaid.get(k)}
    typed = {"checkpoint_steps": checkpoint_steps, "keep": keep}
    kept = {key: value for key, value in typed.items() if value is not None}
    asked: dict[str, Any] = {
        "name": name, "runs_dir": runs_dir, "no_save": no_save, "no_report": no_report,
        "quiet": quiet, "plain": plain, "as_json": as_json, "watch_every": watch_every,
    }  # fmt: skip
    stream = sys.stderr if as_json else sys.stdout
    told = detect(stream, plain=plain)
    screen = screen_for(told, stream, quiet)
    if resume is not None:
        _refuse_with_resume(data, name, no_save, given)
        run = opened(resume, runs_dir, not no_report, **kept)
        if is_table_run(run.config):
            _end(tables.resume(run, asked))
            return
        job = _Job(
            recipes.from_config(run.config, str(run.path)), told, screen, not no_report,
            watch_every,
        )  # fmt: skip
        job.resume(run)
    else:
        if data is None:
            raise UsageProblem(
                "train: which data?", expected=f"{', '.join(recipes.DATA)}, or a table",
                fix="chainrule train digits", line="",
            )  # fmt: skip
        if no_save and name is not None:
            raise UsageProblem("--name names a run folder, and --no-save makes none", line="")
        if no_save and kept:
            odd = f"--{next(iter(kept)).replace('_', '-')}"
            raise UsageProblem(f"{odd} is about checkpoints, and --no-save writes none", line="")
        if data not in recipes.DATA:
            _end(tables.train(choose_table(data, given), asked, kept))
            return
        refuse_of_tables(data, given)
        try:
            job = _Job(choose(data, given), told, screen, not (no_report or no_save), watch_every)
        except ArgumentError as error:
            raise as_usage(error) from None
        if not no_save:
            job.begin(name or data, runs_dir, kept)
    with told_of_ctrl_c(job.trainer.run, job.reported):
        outcome = job.train()
        problem = job.report()
    page = job.page
    if as_json:
        click.echo(json.dumps({**outcome.to_json(), "report": page and str(page)}, indent=2))
    else:
        terminal = detect(sys.stdout, plain=plain)
        for line in results(outcome, terminal, page):
            click.echo(terminal.paint(line), color=True)
    _end(problem)


def _end(problem: ChainruleError | None) -> None:
    """Raises what went wrong after everything was saved."""
    if problem is not None:
        raise problem


def refuse_of_tables(data: str, given: dict[str, Any]) -> None:
    """Raises where an option of tables was typed for a data set."""
    odd = [f"--{name.replace('_', '-')}" for name in ONLY_FOR_TABLES if name in given]
    if odd:
        raise UsageProblem(f"{odd[0]} goes with a table, and {data} is a data set",
                           fix="chainrule train data.csv --target COLUMN", line="")  # fmt: skip


def choose(data: str, given: dict[str, Any]) -> Recipe:
    """The recipe of a data set with what was typed; raises where choices contradict each other."""
    early = given.pop("early_stopping", None)
    r = Recipe(data, **recipes.DATA[data])
    optimizer = given.get("optimizer", r.optimizer)
    if "momentum" in given and optimizer not in recipes.WITH_MOMENTUM:
        raise UsageProblem(
            f"--momentum: {optimizer} has none to set", expected="--optimizer sgd or rmsprop",
            got=f"--optimizer {optimizer} --momentum {given['momentum']:g}", line="",
        )  # fmt: skip
    if optimizer != r.optimizer:
        decay = 0.01 if optimizer == "adamw" else 0.0
        given = {"lr": recipes.LR[optimizer], "weight_decay": decay, **given}
    r = dataclasses.replace(r, **given)
    if early is False and "patience" in given:
        raise UsageProblem("--patience says how long early stopping waits, but it is off", line="")
    if r.val_fraction == 0 and (early or "patience" in given):
        raise UsageProblem(
            "early stopping looks at validation rows, and --val-fraction 0 leaves none",
            fix="--val-fraction 0.1, or --no-early-stopping", line="",
        )  # fmt: skip
    if early is False or r.val_fraction == 0:
        r = dataclasses.replace(r, patience=None)
    return r


def _refuse_with_resume(
    data: str | None, name: str | None, no_save: bool, given: dict[str, Any]
) -> None:
    odd = [f"--{key.replace('_', '-')}" for key in given]
    odd += [
        text for text, on in ((str(data), data), ("--name", name), ("--no-save", no_save)) if on
    ]
    if odd:
        raise UsageProblem(
            f"--resume goes on with the run as it was begun; {odd[0]} can't be changed",
            fix=f"without {', '.join(odd)}; or start a new run with them", line="",
        )  # fmt: skip


class _Job:
    """A recipe with everything made from it, trained into a run or without one.

    reported: whether the run gets a report, and what only that shows is recorded.  watch_every:
    see `train.Watch`.
    """

    def __init__(
        self, r: Recipe, terminal: Terminal, screen: Screen, reported: bool, watch_every: int | None
    ) -> None:
        self.recipe, self.screen, self.reported = r, screen, reported
        self.page: Path | None = None
        self.over = False  # all but the scores and the page is there
        self.parts = parts = recipes.build(r)
        self.facts = Facts(
            data=r.data, model=recipes.describe(parts.model, r),
            parameters=recipes.parameter_count(parts.model), optimizer=r.optimizer,
            schedule=r.schedule, batch_size=r.batch_size,
            epochs=-(-parts.total_steps // parts.steps_per_epoch), lr=r.lr, patience=r.patience,
        )  # fmt: skip
        watch = Watch(watch_every)
        answers = _answers(r, self.facts, terminal) if terminal.live else {}
        show = Show(self.facts, watch, screen, parts.total_steps, answers)
        moments = _moments(r, parts) if reported else []
        self.trainer = recipes.trainer(parts, r, [watch, show, *moments])

    def begin(self, name: str, runs_dir: str, kept: dict[str, Any]) -> None:
        """A new run folder, where there is room for what will be in it."""
        config = {
            "recipe": self.recipe.to_config(),
            "model": self.facts.model,
            "parameters": self.facts.parameters,
            **({"checkpoints": kept} if kept else {}),
        }
        need = room_bytes(self.trainer)
        try:
            run = Run.create(name, runs_dir, config, need_bytes=need, **kept)
        except ValueError as error:
            raise as_usage(error) if isinstance(error, ChainruleError) else error from None
        write_text(run.path / SETTINGS, to_toml(self.recipe, kept))
        self._take(run)

    def resume(self, run: Run) -> None:
        """Goes on at the run's last checkpoint; at the beginning where there is none yet."""
        self.over = to_finish(run)
        if run.checkpoints.manifests():
            self.trainer.resume(run)
        else:
            click.echo(f"{run.name} holds no checkpoint yet: it begins anew", err=True)
        self._take(run)

    def _take(self, run: Run) -> None:
        self.trainer.run, self.facts.run = run, run.name
        run.building = recipes.BUILDING

    def train(self) -> Outcome:
        """Trains to the end, and scores; Interrupted after Ctrl-C."""
        r, run, trainer = self.recipe, self.trainer.run, self.trainer
        if run is not None and self.over:
            return scored(r, self.parts, run, trainer, self.facts)
        if run is not None:
            run.say = _nothing  # of an interruption `_interrupted` tells
        began = time.perf_counter()
        try:
            history = trainer.fit(
                self.parts.train, validation=self.parts.validation, epochs=r.epochs, steps=r.steps,
                tol=r.tol, batch_size=r.batch_size, progress=False,
            )  # fmt: skip
        except ChainruleError as error:
            self._note(error)
            raise
        finally:
            self.screen.close()
        if history.interrupted:
            raise _interrupted(history, run, trainer)
        return outcome_of(r, self.parts, run, trainer, time.perf_counter() - began, self.facts)

    def report(self) -> ChainruleError | None:
        """Writes report.html; an error is handed back, since the training is not lost."""
        run = self.trainer.run
        if run is None or not self.reported:
            return None
        try:
            self.page = write_report(run)
        except ChainruleError as error:
            return error
        return None

    def _note(self, error: ChainruleError) -> None:
        """Keeps in the run why it failed; a hint in terms of the command line."""
        run = self.trainer.run
        if error.fix:  # it speaks of the Trainer's arguments
            error.fix = error.fix.replace(UNCOMPILED, "--eager")
            error.fix = re.sub(r"\b(lr|clip_grad_norm)=", _as_option, error.fix)
        if run is None or isinstance(error, InUseError):
            return
        if error.got:  # the operands stand whole in the run's nan.json
            error.got = re.sub(r"(: result\[[^;]*);.*", r"\1", error.got)
        if isinstance(error, OutputError) and run.checkpoints.manifests():
            error.fix = f"{error.fix}; then {_resume(run)}"
        if isinstance(error, NonFiniteError):
            error.fix = f"{error.fix}; {_command('diagnose', run)} --try tries what may mend it"
        with suppress(OSError):
            run.write_result(stopped="failed", error=error.problem)
            problem = self.report()
            if problem is not None:
                click.echo(as_typed(f"no report: {problem.problem}"), err=True)


def _answers(r: Recipe, facts: Facts, terminal: Terminal) -> Mapping[str, Answer]:
    """What keys give: imported only where there may be some."""
    from .answers import Answers

    return Answers(r, facts, terminal).by_key()


def _nothing(text: str) -> None:
    """Says nothing."""


def _as_option(match: re.Match[str]) -> str:
    return f"--{match[1].replace('_', '-')} "


def _moments(r: Recipe, parts: Parts) -> list[Callback]:
    """What keeps predictions for a few rows, and the decision boundary of rows in the plane."""
    rows = parts.validation if parts.validation is not None else parts.train
    x, y = _first(rows, ROWS)
    what = "of the training" if parts.validation is None else "of the validation rows"
    plane = recipes.load(r.data).train.tensors[0]
    frames = [Frames(np.asarray(plane))] if plane.shape[1] == 2 else []
    return [Batch(x, np.asarray(y), what), *frames]


def _first(rows: Any, most: int) -> tuple[Tensor, Tensor]:
    """The first rows of a data set or of a part of one."""
    places = list(range(min(most, len(rows))))
    x, y = rows[places] if hasattr(rows, "tensors") else rows.take(places)
    return x, y


def _interrupted(history: History, run: Run | None, trainer: Trainer) -> Interrupted:
    where = f"stopped by {history.signal} after step {trainer.step}, epoch {trainer.epoch}"
    if run is None:
        error = Interrupted(f"{where}; --no-save: nothing was kept", line="")
    else:
        fix = f"{_resume(run)}   (goes on at the next step)"
        error = Interrupted(f"{where}; everything is saved in {run.path}", fix=fix, line="")
    return error.by(history.signal)


def _resume(run: Run) -> str:
    return _command("train --resume", run)


def _command(does: str, run: Run) -> str:
    return f"chainrule {does} {run.name}{in_folder(str(run.path.parent))}"
