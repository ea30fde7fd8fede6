"""`chainrule runs`: what was trained, and how well."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..errors import ChainruleError
from ..report.charts import figure, percent
from ..train import list_runs
from ..train.metrics import METRICS
from ..train.run import Run
from ..train.tabular.judging import SCALED
from .app import Command
from .options import find_run, in_folder, plain_option, run_argument, runs_dir
from .terminal import Line, Terminal, as_typed, detect
from .view.draw import Column, table


def summary(run: Run) -> dict[str, Any]:
    """What the table and --json say of a run."""
    row: dict[str, Any] = {"name": run.name, "path": str(run.path)}
    try:
        rows, result = run.rows, run.result
        recipe = run.config.get("recipe") or run.config.get("table") or {}
        if "batch" in run.config:  # as large as the rows let it be
            recipe = {**recipe, "batch_size": run.config["batch"]}
        scores = {k: v for k, v in (result or {}).items() if k.startswith("test_")}
        return row | {
            "started": run.environment.get("started"),
            "command": run.environment.get("command"),
            "model": run.config.get("model"),
            "data": recipe.get("data"),
            "parameters": run.config.get("parameters"),
            "seed": recipe.get("seed"),
            "epochs": len(rows),
            "loss": rows[-1]["loss"] if rows else None,
            "val_loss": rows[-1].get("val_loss") if rows else None,
            "best_val_accuracy": None,
            "best_val_rmse": None,
            **_best(rows),
            "test_accuracy": None,
            **scores,
            "seconds": sum(r.get("seconds", 0.0) for r in rows),
            "state": (result or {}).get("stopped") or "unfinished",
            "recipe": recipe,
        }
    except ChainruleError as error:
        return row | {"state": f"damaged: {error.problem}"}
    except (
        TypeError,
        ValueError,
        KeyError,
        AttributeError,
        OverflowError,
    ) as error:  # JSON, but not a run's
        return row | {"state": f"damaged: {type(error).__name__}: {error}"}


def _best(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The best value of each metric that the log holds of validation rows."""
    found = {}
    for name in (*METRICS, SCALED):
        values = [r[f"val_{name}"] for r in rows if f"val_{name}" in r]
        if values:
            higher = name in METRICS and METRICS[name].higher_is_better
            found[f"best_val_{name}"] = (max if higher else min)(values)
    return found


def _percent(value: Any) -> str:
    return "-" if value is None else percent(value, 2)


def _score(row: dict[str, Any], which: str) -> str:
    """The metric that was asked for, accuracy, or what else a run is judged by."""
    asked = (row.get("recipe") or {}).get("metric")
    if asked not in (None, "accuracy") and row.get(f"{which}_{asked}") is not None:
        return f"{asked.replace('_', ' ')} {figure(row[f'{which}_{asked}'])}"
    for name in ("rmse", SCALED, "f1"):
        value = row.get(f"{which}_{name}")
        if row.get(f"{which}_accuracy") is None and value is not None:
            return f"{name.replace('_', ' ')} {figure(value)}"
    share = _percent(row.get(f"{which}_accuracy"))
    return f"{share} of labels" if "test_labels_right" in row and which == "best_val" else share


def _cells(rows: list[dict[str, Any]], key: str) -> list[Line]:
    return [[("-" if r.get(key) is None else str(r[key]), "")] for r in rows]


def listing(rows: list[dict[str, Any]], t: Terminal) -> list[Line]:
    """The table, the newest last."""
    when = [[((r.get("started") or "-").replace("T", " ")[:16], "")] for r in rows]
    tested = [[(_score(r, "test"), "strong")] for r in rows]
    best = [[(_score(r, "best_val"), "")] for r in rows]
    return table(
        [
            Column("run", _cells(rows, "name"), 9),
            Column("started (UTC)", when, 4),
            Column("model", _cells(rows, "model"), 3),
            Column("epochs", _cells(rows, "epochs"), 5, True),
            Column("best validation", best, 6, True),
            Column("held out", tested, 8, True),
            Column("ended by", _cells(rows, "state"), 7),
        ],
        t.width,
    )


def sentences(row: dict[str, Any]) -> list[str]:
    """A run as one fact a line."""
    return [f"{key.replace('_', ' ')}: {_said(key, v)}" for key, v in row.items() if v is not None]


def _said(key: str, value: Any) -> str:
    if key.endswith("accuracy"):
        return _percent(value)
    if key == "seconds":
        return f"{value:.1f}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return figure(value, 5) if isinstance(value, float) else str(value)


def everything(row: dict[str, Any]) -> list[str]:
    """What is known of one run, and then the choices that it was made with."""
    recipe = row.get("recipe") or {}
    facts = {k: v for k, v in row.items() if k != "recipe"}
    return [*sentences(facts), *sentences({k: v for k, v in recipe.items() if k not in facts})]


def going_on(row: dict[str, Any], folder: str) -> list[str]:
    """How a run that has not come to its end goes on."""
    when = {"interrupted": "next", "unfinished": "next, unless it is learning now"}
    if row["state"] not in when:
        return []
    return [as_typed(f"{when[row['state']]}: chainrule train --resume {row['name']}"
                     f"{in_folder(folder)}")]  # fmt: skip


@click.command(cls=Command)
@run_argument(required=False)
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(run: str | None, runs_dir: str, as_json: bool, plain: bool) -> None:
    """Lists the runs, or says everything about one RUN.

    \b
    Examples:
      chainrule runs
      chainrule runs digits-0001
      chainrule runs --json
    """
    rows = [summary(find_run(run, runs_dir))] if run else [summary(r) for r in list_runs(runs_dir)]
    if as_json:
        click.echo(json.dumps(rows[0] if run else rows, indent=2))
        return
    terminal = detect(sys.stdout, plain=plain)
    if not rows:
        click.echo(as_typed(f"No runs in {runs_dir} yet. Start one: chainrule train digits"))
    elif run:
        click.echo("\n".join([*everything(rows[0]), *going_on(rows[0], runs_dir)]))
    elif plain:
        for row in rows:
            row.pop("recipe", None)
            click.echo(", ".join(sentences(row)))
    else:
        for line in listing(rows, terminal):
            click.echo(terminal.paint(line), color=True)
