"""`chainrule preflight`: what can be known before the first step."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Any, NoReturn

import click
import numpy as np

from ..data.dataset import take
from ..diagnosis.before import Preflight, preflight
from ..errors import ArgumentError
from . import recipe as recipes
from .app import FAILED, OK, Command, UsageProblem, as_usage, did_you_mean
from .options import find_run, plain_option, runs_dir
from .recipe import Recipe
from .tables.choices import is_table
from .terminal import Line, Terminal, detect, words
from .train import choose, recipe_options

ROWS = 128
ANSWERS = {"ok": "", "error": "? No", "warning": "? Doubtful", "skipped": "? Not tried"}


class OfSets(Command):
    """A command for data sets: of a table it says so, whatever options of tables were typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses; options of tables are none here."""
        typed = list(args)  # parsing empties it
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption:
            for word in typed:
                if not word.startswith("-") and is_table(word):
                    refuse_table(word, ctx)
            raise


@click.command(cls=OfSets, short_help="Checks a training before its first step.")
@click.argument("data", metavar="DATA|RUN")
@recipe_options
@runs_dir
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(data: str, runs_dir: str, as_json: bool, plain: bool, **chosen: Any) -> int:
    """Checks a training before its first step: the same arguments as `chainrule train`, or a RUN.

    Is the loss where an answer that knows nothing has it, do gradients agree with finite
    differences, does every parameter get one, are units different, do examples see each other,
    can one batch be learned by heart, do the inputs help? Exit code 1 if a check fails.

    \b
    Examples:
      chainrule preflight digits
      chainrule preflight moons --layers 8,8,8,8,8,8 --activation sigmoid
      chainrule preflight digits-0001
    """
    given = {key: value for key, value in chosen.items() if value is not None}
    checked = check(recipe_of(data, runs_dir, given))
    if as_json:
        click.echo(json.dumps(checked.to_json(), indent=2))
    else:
        t = detect(sys.stdout, plain=plain)
        for line in lines_of(checked, t):
            click.echo(t.paint(line), color=True)
    return OK if checked.ok else FAILED


def refuse_table(what: str, ctx: click.Context) -> NoReturn:
    """Raises: the command of a context is not for this table."""
    raise UsageProblem(
        f"{what!r} is a table, and {ctx.info_name} is for data sets and their runs", line="",
        fix=f"chainrule train {shlex.quote(what)} --target COLUMN",
    )  # fmt: skip


def recipe_of(what: str, folder: str, given: dict[str, Any]) -> Recipe:
    """The recipe of a data set with what was typed, or that of a run; a table is refused."""
    if what.lower() in recipes.DATA:
        return choose(what.lower(), given)
    if is_table(what) and not os.path.isdir(what):
        refuse_table(what, click.get_current_context())
    if given:
        odd = f"--{next(iter(given)).replace('_', '-')}"
        near = did_you_mean(what, tuple(recipes.DATA))
        raise UsageProblem(
            f"{odd} goes with a data set, and {what!r} is none",
            expected=", ".join(recipes.DATA), fix=near, line="",
        )  # fmt: skip
    run = find_run(what, folder)
    return recipes.from_config(run.config, str(run.path))


def check(r: Recipe) -> Preflight:
    """Preflight of a recipe, on rows spread over its training data."""
    try:
        parts = recipes.build(r)
    except ArgumentError as error:
        raise as_usage(error) from None
    count = min(ROWS, len(parts.train))
    places = np.unique(np.linspace(0, len(parts.train) - 1, count).astype(np.int64))
    x, y = take(parts.train, places)
    return preflight(parts.model, parts.loss, x, y, optimizer=parts.optimizer)


def lines_of(checked: Preflight, t: Terminal) -> list[Line]:
    """A line a check; below it what to try."""
    lines: list[Line] = []
    wide = max(len(o.id) for o in checked)
    for o in checked:
        if t.plain:
            tail = f" Try: {o.fix}." if o.fix else ""
            said = f"{o.title[:-1]}{ANSWERS[o.state]}: {o.text}.{tail}"
            lines.append([(f"{o.id}: {o.state}. {said}", "")])
            continue
        sign, style = {
            "ok": (t.signs.ok, "ok"), "error": (t.signs.bad, "bad"),
            "warning": (t.signs.warn, "warn"),
        }.get(o.state, ("-", "faint"))  # fmt: skip
        head = f"{sign.ljust(2)} {o.id.ljust(wide)}  "
        text = f"{o.title[:-1]}{ANSWERS[o.state]}: {o.text}"
        for i, line in enumerate(words(text, max(t.width - len(head), 20))):
            lines.append([(head if i == 0 else " " * len(head), style), *line])
        if o.fix:
            lines += [
                [(" " * len(head), ""), *line]
                for line in words(f"try: {o.fix}", max(t.width - len(head), 20))
            ]
    failed = [o.id for o in checked if o.state == "error"]
    said = f"failed: {', '.join(failed)}" if failed else "ready to train"
    return [*lines, *words(f"{said} ({checked.seconds:.1f} s)", t.width, "bad" if failed else "ok")]
