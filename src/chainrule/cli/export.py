"""`chainrule export`: what a run logged, and its model, for other programs."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import click

from .. import nn, onnx, schemas
from ..errors import OutputError
from ..export import export_c
from ..tensor.create import zeros
from ..train import Run
from ..train.files import write_text
from ..train.tensorboard import export
from ..train.watch.look import FILE as LOOKS
from ..train.watch.look import rows_in
from .app import Command, UsageProblem
from .options import Name, find_run, run_argument, runs_dir
from .predict import newest_with_model, restored
from .recipe import from_config, load
from .tables.choices import is_table_run
from .terminal import as_typed

SCHEMA = "chainrule run 1"


def as_data(run: Run) -> dict[str, Any]:
    """All that is written of a run, but its weights."""
    held = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    return {
        "schema": SCHEMA, "name": run.name, "config": held, "environment": run.environment or None,
        "metrics": run.rows, "layers": rows_in(run.path / LOOKS), "result": run.result,
    }  # fmt: skip


def as_csv(run: Run) -> str:
    """The epochs as a table with a line of names; what was not computed is empty."""
    names = list(dict.fromkeys(name for row in run.rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(run.rows)
    return text.getvalue()


def predictor(run: Run) -> tuple[nn.Module, Any]:
    """The model of a run as `chainrule predict` applies it, from rows to the probability of each
    class, and an example of what it takes."""
    recipe = from_config(run.config, str(run.path))
    model, features = restored(run, recipe, len(load(recipe.data).names))
    layers = OrderedDict(model.named_children(), probability=nn.Softmax(-1))
    return nn.Sequential(layers), zeros(1, features)


@click.command(cls=Command, short_help="Gives a RUN to other programs: CSV, JSON, events, ONNX, C.")
@run_argument(required=False)
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="All that is logged, as JSON on stdout.")
@click.option("--csv", "csv_path", metavar="OUT.csv", help="The epochs, as CSV (-: stdout).")
@click.option("--tensorboard", metavar="DIR", help="Event files, in DIR/RUN.")
@click.option("--onnx", "onnx_path", metavar="OUT.onnx",
              help="The model, for ONNX runtimes: any number of rows.")  # fmt: skip
@click.option("--c", "c_path", metavar="OUT.c",
              help="The model as one file of C99 that needs no library: a row a call.")  # fmt: skip
@click.option("--schema", type=Name(schemas.names()), metavar="NAME",
              help="The JSON schema of an output: run, metrics, derivation, ...")  # fmt: skip
def command(
    run: str | None, runs_dir: str, as_json: bool, csv_path: str | None, tensorboard: str | None,
    onnx_path: str | None, c_path: str | None, schema: str | None,
) -> None:  # fmt: skip
    """Gives RUN to other programs: its log as JSON, CSV, TensorBoard; its model as ONNX or C.

    The model takes rows of numbers, and gives the probability of each class, as `chainrule
    predict` does. That of a table takes its raw columns by name, numbers, texts and gaps as they
    stand in the file and dates as seconds since 1970, and gives labels with probabilities, or
    amounts in their unit: what prepares the columns is part of it.
    Everything that Chainrule writes as JSON has a schema: --schema prints it. One of the options
    at a time says what is given.

    \b
    Examples:
      chainrule export digits-0001 --csv digits.csv
      chainrule export digits --tensorboard logs
      chainrule export digits --json > digits.json
      chainrule export digits --onnx digits.onnx
      chainrule export digits --c digits.c
      chainrule export --schema playground
    """
    asked = {"--json": as_json, "--csv": csv_path, "--tensorboard": tensorboard,
             "--onnx": onnx_path, "--c": c_path, "--schema": schema}  # fmt: skip
    wanted = [name for name, on in asked.items() if on]
    if len(wanted) != 1:
        raise UsageProblem(
            f"export: one of {', '.join(asked)}, and only one at a time",
            got=" ".join(wanted) or "none",
            fix="chainrule export digits --csv digits.csv", line="",
        )  # fmt: skip
    if (run is None) != (schema is not None):
        raise UsageProblem(
            f"export {wanted[0]}: {'which run?' if run is None else 'takes no RUN'}", got=str(run),
            line="",
        )  # fmt: skip
    if schema is not None:
        click.echo(json.dumps(schemas.schema(schema), indent=2, ensure_ascii=False))
        return
    assert run is not None
    path = onnx_path or c_path
    if path is not None:
        click.echo(_model(newest_with_model(run, runs_dir), Path(path), path == c_path))
        return
    found = find_run(run, runs_dir)
    if as_json:
        click.echo(json.dumps(as_data(found), indent=2, allow_nan=False))
    elif csv_path == "-":
        click.echo(as_csv(found), nl=False)
    elif csv_path is not None:
        _write(Path(csv_path), as_csv(found))
        click.echo(f"{len(found.rows)} epochs of {found.name} in {csv_path}", err=True)
    else:
        assert tensorboard is not None
        click.echo(f"{export(found, tensorboard)}: tensorboard --logdir {tensorboard}")


def _model(run: Run, path: Path, in_c: bool) -> str:
    """Writes the model; gives the lines that say how it is used."""
    _check_folder(path)
    if is_table_run(run.config):
        from .tables.applied import model_of
        from .tables.exported import written

        return as_typed(written(model_of(run), path, in_c))
    model, example = predictor(run)
    if in_c:
        export_c(model, example, path)
        return f"{path}: cc -O3 -DCHAINRULE_MAIN {path} -lm, which reads rows from stdin"
    onnx.export(model, example, path)
    return f"{path}: inputs (batch, {example.shape[1]}), opset {onnx.OPSET}"


def _check_folder(path: Path) -> None:
    if not os.path.isdir(path.parent):
        raise OutputError(f"can't write {path}", got=f"no folder {path.parent}",
                          fix=f"mkdir -p {path.parent}", line="")  # fmt: skip


def _write(path: Path, text: str) -> None:
    _check_folder(path)
    write_text(path, text)
