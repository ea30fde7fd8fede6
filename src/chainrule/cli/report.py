"""`chainrule report`: the page of a run written again, or several runs compared."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..errors import ChainruleError, OutputError
from ..functional import softmax
from ..nn import CrossEntropyLoss, Module
from ..report.results import Held
from ..report.subject import Subject, subject_of, verdict_of
from ..tensor.core import wrap
from ..train import Run
from ..train.evaluation import predict
from .app import Command, UsageProblem
from .options import find_run, runs_dir
from .predict import BATCH, restored
from .recipe import Recipe, Sets, from_config, load
from .tables.choices import is_table_run
from .terminal import Line, Terminal, as_typed, detect, words

FILE = "report.html"
FIRST_ROWS = 256
"""Of these training rows the one with the highest loss is worked."""
IMAGES = {"digits": (8, 8)}


@click.command(cls=Command, short_help="Writes the report of RUN, or compares several.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("-o", "--output", metavar="OUT.html", help="Write there.")
@click.option("--text", is_flag=True, help="Print the charts of one run here; write nothing.")
@runs_dir
@click.option("--plain", is_flag=True, help="As --text, in sentences: for screen readers.")
def command(
    runs: tuple[str, ...], output: str | None, text: bool, runs_dir: str, plain: bool
) -> None:
    """Writes the report of a run again, or a page that compares several.

    One file that opens in any browser, without a network: the verdict, curves, the gradients'
    flow, one example worked number by number, the graph, results.  It goes to report.html in the
    run's folder; a comparison goes beside the folders of the runs.  With --text the terminal gets
    the verdict, the learning curve, the gradients' flow by layer and step in powers of ten,
    update:weight, the gain ledger, and what the units give, with dead ones by name.

    \b
    Examples:
      chainrule report digits-0001
      chainrule report moons -o moons.html
      chainrule report moons-0001 moons-0002
      chainrule report moons --text
    """
    found = [find_run(name, runs_dir) for name in runs]
    same = {os.path.realpath(r.path) for r in found}
    if len(same) < len(found):
        raise UsageProblem("report: a run is named twice", got=" ".join(runs), line="")
    if text or plain:
        if len(found) > 1 or output is not None:
            raise UsageProblem("report: --text prints one run, and writes no file",
                               fix="chainrule compare prints several", line="")  # fmt: skip
        t = detect(sys.stdout, plain=plain)
        for line in text_lines(found[0], t):
            click.echo(t.paint(line), color=True)
        return
    if len(found) == 1:
        path = Path(output or found[0].path / FILE)
        _check_folder(path)
        write_report(found[0], path)
    else:
        default = found[0].path.parent / f"report-{'-'.join(r.name for r in found)}"[:120]
        path = Path(output or f"{default}.html")
        _check_folder(path)
        write_comparison(found, path)
    click.echo(as_typed(f"report {path} ({path.stat().st_size / 1e6:.2f} MB)"))


def text_lines(run: Run, t: Terminal) -> list[Line]:
    """What the files of a run show, as lines no wider than the terminal."""
    from ..report.build import UNWATCHED, charts_of
    from .diagnose import findings_of
    from .trying import recipe_of
    from .view.charts import chart_lines

    s = subject_of(run)
    s.findings = findings_of(run)
    verdict = verdict_of(s)
    sign = {"bad": t.signs.bad, "warn": t.signs.warn}.get(verdict.level, t.signs.ok)
    head = f"{run.name}: {verdict.word}. {verdict.sentence}"
    lines = [[(head, "")]] if t.plain else words(f"{sign} {head}", t.width, verdict.level)
    charts = [c for c in charts_of(s).values() if c is not None]
    for chart in charts:
        lines += [*([] if t.plain else [[]]), *chart_lines(chart, t)]
    if not s.looks:
        return lines + ([[(UNWATCHED, "")]] if t.plain else [[], *words(UNWATCHED, t.width)])
    name = s.looks[-1].layers[0].name if s.looks[-1].layers else None
    if name is not None and recipe_of(run) is not None:
        why = as_typed(f"chainrule explain {run.name} --weight {name}")
        lines += [*([] if t.plain else [[]]), [(f"{name} number by number: {why}", "")]]
    return lines


def _check_folder(path: Path) -> None:
    if os.path.isdir(path):
        raise UsageProblem(f"-o {path}: that is a folder", fix=f"-o {path / FILE}", line="")
    if not os.path.isdir(path.parent):
        raise OutputError(f"can't write {path}", got=f"no folder {path.parent}",
                          fix=f"mkdir -p {path.parent}", line="")  # fmt: skip


def write_report(
    run: Run, path: Path | None = None, findings: list[dict[str, Any]] | None = None
) -> Path:
    """The page of a run, in its folder unless a path is given; with what the rules find in it."""
    from ..report.build import build
    from ..report.page import write_page
    from .diagnose import findings_of

    path = path or Path(run.path) / FILE
    findings = findings_of(run) if findings is None else findings
    write_page(path, build(whole_subject(run, findings)))
    return path


def write_comparison(runs: list[Run], path: Path) -> None:
    """The page that compares runs."""
    from ..report.compare import build
    from ..report.page import write_page

    write_page(path, build([subject_with_rows(run) for run in runs]))


def subject_with_rows(run: Run) -> Subject:
    """With what the model says of held-out rows, where it can be asked."""
    try:
        return whole_subject(run)
    except ChainruleError:
        return subject_of(run)


def whole_subject(run: Run, findings: list[dict[str, Any]] | None = None) -> Subject:
    """What a run's folder holds, and its model with the rows of its data set.

    A run that has no model yet has a report too; one whose model is damaged has an error.
    """
    s = subject_of(run)
    s.findings = findings
    if not run.has_model:
        s.no_model = "the run has no model yet"
        return s
    if is_table_run(run.config):
        from .tables.applied import reported

        return reported(run, s)
    r = from_config(run.config, str(run.path))
    sets = load(r.data)
    s.model, _ = restored(run, r, len(sets.names))
    s.smoothing, s.rate = r.label_smoothing, r.lr
    s.loss = CrossEntropyLoss(label_smoothing=r.label_smoothing)
    s.image = IMAGES.get(r.data)
    s.held = held_of(s.model, sets)
    _choose_row(s, r, sets)
    _next_steps(s, run, r, sets)
    return s


def _next_steps(s: Subject, run: Run, r: Recipe, sets: Sets) -> None:
    """What the optimizer would do next, where a checkpoint has its state."""
    from .explained import next_steps

    try:
        s.steps = next_steps(run, r, sets, 1)
    except ChainruleError as error:
        s.no_steps = error.problem


def held_of(model: Module, sets: Sets) -> Held:
    """The held-out rows with the probabilities that the model gives."""
    x, true = sets.test.tensors
    return Held(np.asarray(x), np.asarray(true), probabilities(model, x), sets.names)


def probabilities(model: Module, x: Any) -> Any:
    """(N, C) in float64."""
    return np.asarray(softmax(predict(model, (x,), BATCH), -1), np.float64)


def _choose_row(s: Subject, r: Recipe, sets: Sets) -> None:
    """The first training row with the highest loss among the first few."""
    x, y = (np.asarray(t)[:FIRST_ROWS] for t in sets.train.tensors)
    assert s.model is not None
    given = probabilities(s.model, wrap(np.ascontiguousarray(x)))[np.arange(len(y)), y]
    s.row_number = int(np.nan_to_num(given, nan=0.0).argmin())
    s.row, s.label = x[s.row_number], int(y[s.row_number])
