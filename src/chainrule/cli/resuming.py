"""What `train --resume` finds: a training to go on with, or one that lacks only scores and page."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import FormatError
from ..ops.core import is_number
from ..train import Run, Trainer
from .app import Interrupted, UsageProblem
from .options import find_run, in_folder
from .recipe import Parts, Recipe
from .report import FILE as REPORT
from .results import Outcome, outcome_of
from .settings import kept_in
from .tables.choices import is_table_run
from .view.facts import Facts

AS_IT_WAS = (
    "epochs", "steps", "stopped", "compile_seconds", "compile_cached", "steps_per_second",
    "threads",
)  # fmt: skip
"""What the result of a training keeps of it, by the names of an Outcome."""


def opened(name: str, runs_dir: str, report: bool, **kept: Any) -> Run:
    """The run to go on with; raises where it lacks nothing.  report: whether it is to have one."""
    found = find_run(name, runs_dir)
    run = Run(found.path, **{**kept_in(found.config, str(found.path)), **kept})
    if over(run) and not lacking(run, report):
        raise UsageProblem(
            f"{run.name} is finished ({(run.result or {})['stopped']}): there is nothing to go on "
            "with", fix=f"chainrule predict {run.name}, or a new run with more --epochs", line="",
        )  # fmt: skip
    return run


def over(run: Run) -> bool:
    """Whether the training itself has ended and left its model."""
    ended = (run.result or {}).get("stopped") not in ("interrupted", "failed", None)
    return ended and _has_model(run)


def to_finish(run: Run) -> bool:
    """Whether scores and page can be made of what lies there, without a step more."""
    return over(run) and bool(run.checkpoints.manifests())


def lacking(run: Run, report: bool) -> list[str]:
    """What a training that is over was stopped before: 'scores' of held-out rows, 'report'.

    A report that is older than the result tells of an earlier time of the training.
    """
    result = run.result or {}
    held = "recipe" in run.config
    if is_table_run(run.config):
        table = run.config["table"]
        held = not isinstance(table, dict) or bool(table.get("test_fraction"))
    lacks = ["scores"] if held and not any(k.startswith("test_") for k in result) else []
    page = run.path / REPORT
    made = page.is_file() and (
        page.stat().st_mtime_ns >= (run.path / "result.json").stat().st_mtime_ns
    )
    return lacks + (["report"] if report and not made else [])


@contextmanager
def told_of_ctrl_c(run: Run | None, report: bool) -> Iterator[None]:
    """Says what Ctrl-C has left, where the training itself was over by then."""
    try:
        yield
    except KeyboardInterrupt:
        if run is None:
            said, fix = "--no-save: nothing was kept", None
        elif not over(run):
            raise
        else:
            lacks = lacking(run, report)
            left = f"the model is saved in {run.path}, without {' and '.join(lacks)}"
            said = left if lacks else f"everything is saved in {run.path}"
            again = f"chainrule train --resume {run.name}{in_folder(str(run.path.parent))}"
            fix = f"{again}   (makes what is missing)" if lacks else None
            said = f"the training had ended; {said}"
        raise Interrupted(f"stopped by SIGINT; {said}", fix=fix, line="").by("SIGINT") from None


def scored(r: Recipe, parts: Parts, run: Run, trainer: Trainer, facts: Facts) -> Outcome:
    """The outcome of a training that is over, by the weights that it left.

    trainer: resumed from the last checkpoint.
    """
    trainer.model.load_state_dict(run.load_model())
    result, rows = run.result or {}, run.rows
    facts.val_acc.values = [row["val_accuracy"] for row in rows if is_number(
        row.get("val_accuracy"))]  # fmt: skip
    facts.compiled, facts.cached = trainer.compile, bool(result.get("compile_cached"))
    facts.compile_s = float(result.get("compile_seconds", 0.0))
    facts.steps_per_s, facts.threads = result.get("steps_per_second"), result.get("threads")
    facts.overhead = result.get("watch_overhead")
    seconds = math.fsum(row["seconds"] for row in rows if is_number(row.get("seconds")))
    told = outcome_of(r, parts, run, trainer, seconds, facts)
    return dataclasses.replace(told, **{k: result[k] for k in AS_IT_WAS if k in result})


def _has_model(run: Run) -> bool:
    try:
        run.load_model()
    except FormatError:  # gone or damaged: the last checkpoint gives it again
        return False
    return True
