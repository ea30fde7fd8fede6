"""`chainrule export`: what a run logged, for other programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import click

from .. import schemas
from ..errors import OutputError
from ..train import Run
from ..train.files import write_text
from ..train.tensorboard import export
from ..train.watch.look import FILE as LOOKS
from ..train.watch.look import rows_in
from .app import Command, UsageProblem
from .options import Name, find_run, run_argument, runs_dir

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


@click.command(cls=Command, short_help="Gives a RUN to other programs: CSV, JSON, events.")
@run_argument(required=False)
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="All that is logged, as JSON on stdout.")
@click.option("--csv", "csv_path", metavar="OUT.csv", help="The epochs, as CSV (-: stdout).")
@click.option("--tensorboard", metavar="DIR", help="Event files, in DIR/RUN.")
@click.option("--schema", type=Name(schemas.names()), metavar="NAME",
              help="The JSON schema of an output: run, metrics, derivation, ...")  # fmt: skip
def command(
    run: str | None, runs_dir: str, as_json: bool, csv_path: str | None, tensorboard: str | None,
    schema: str | None,
) -> None:  # fmt: skip
    """Gives what RUN logged to other programs: JSON, CSV, TensorBoard.

    Everything that Chainrule writes as JSON has a schema: --schema prints it.

    \b
    Examples:
      chainrule export digits-0001 --csv digits.csv
      chainrule export digits --tensorboard logs
      chainrule export digits --json > digits.json
      chainrule export --schema playground
    """
    asked = {"--json": as_json, "--csv": csv_path, "--tensorboard": tensorboard,
             "--schema": schema}  # fmt: skip
    wanted = [name for name, on in asked.items() if on]
    if len(wanted) != 1:
        raise UsageProblem(
            "export: one of --json, --csv, --tensorboard, --schema", got=" ".join(wanted) or "none",
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


def _write(path: Path, text: str) -> None:
    if not path.parent.is_dir():
        raise OutputError(f"can't write {path}", got=f"no folder {path.parent}",
                          fix=f"mkdir -p {path.parent}", line="")  # fmt: skip
    write_text(path, text)
