"""`chainrule diagnose`: what is wrong with a run, on which evidence, and what mends it."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..diagnosis import RULES, Diagnosis, Finding, diagnose
from ..diagnosis.finding import ERROR, NOTE
from ..diagnosis.trial import FILE, Trial, best_of, tried_in
from ..diagnosis.trying import STEPS
from ..diagnosis.verdict import HEALTHY, NOTHING
from ..errors import ChainruleError, FormatError
from ..train import Run
from ..train.files import write_json
from ..train.watch import read_looks
from ..train.watch.watch import EVERY
from .app import FAILED, OK, Command, UsageProblem, as_usage
from .options import Number, find_run, plain_option, run_argument, runs_dir
from .terminal import Line, Terminal, as_typed, detect, words
from .trying import Tries, Typing, recipe_to_repeat, typing_of

LABEL = 12  # columns before the text of an entry


def thresholds_of(typed: tuple[str, ...]) -> dict[str, float]:
    """RULE.NAME=VALUE, several times."""
    found = {}
    for text in typed:
        name, sign, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            sign = ""
        if not sign:
            raise UsageProblem("--threshold must be RULE.NAME=NUMBER", got=repr(text),
                               fix="--threshold vanishing.ratio=1e-4", line="")  # fmt: skip
    return found


@click.command(cls=Command, short_help="Says what is wrong with a RUN, and what mends it.")
@run_argument(required=False)
@runs_dir
@click.option("--rules", "listing", is_flag=True, help="List the rules and their thresholds.")
@click.option(
    "--try",
    "steps",
    type=Number(1, 10**7, whole=True),
    is_flag=False,
    flag_value=str(STEPS),
    help=f"Try each fix for N steps from the run's start [{STEPS}]. After RUN, or as --try=N.",
)
@click.option(
    "--threshold",
    "typed",
    multiple=True,
    metavar="RULE.NAME=X",
    help="A rule's threshold; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@plain_option
def command(
    run: str | None, runs_dir: str, listing: bool, steps: int | None, typed: tuple[str, ...],
    as_json: bool, plain: bool,
) -> int:  # fmt: skip
    """Says what is wrong with a RUN: evidence, cause, and fixes as commands.

    Every finding is a suspicion, with the numbers that it rests on. With --try each fix that is an
    option of `chainrule train` is trained from the same seed for some steps; what comes of it goes
    to diagnosis.json in the run's folder and into its report. Exit code 1 if a finding is an error,
    or there is nothing to judge yet; 0 if there are only warnings or nothing.

    \b
    Examples:
      chainrule diagnose digits-0001
      chainrule diagnose moons --try
      chainrule diagnose moons --try=500 --json
      chainrule diagnose moons --threshold dead-relu.share=0.3
      chainrule diagnose --rules
    """
    if listing:
        return _list_rules(as_json, detect(sys.stdout, plain=plain))
    if run is None:
        raise UsageProblem(
            "diagnose: which run?",
            expected="a path, a name such as digits-0001, or digits for the newest",
            fix="chainrule runs lists them",
            line="",
        )
    found_run = find_run(run, runs_dir)
    try:
        found = diagnose(found_run, thresholds_of(typed))
    except ChainruleError as error:
        raise error if isinstance(error, (FormatError, UsageProblem)) else as_usage(error) from None
    typed_with = typing_of(found_run)
    tries = None
    if steps is not None:
        repeated = recipe_to_repeat(found_run, "--try", "chainrule.try_fixes(trainer)")
        tries = Tries(repeated, steps, watched_every(found_run))
    trials = [_trials(f, tries) for f in found]
    held = _as_json(found_run, found, typed_with, tries, trials)
    t = detect(sys.stdout, plain=plain)
    if as_json:
        click.echo(json.dumps(held, indent=2))
    else:
        for line in lines_of(found_run, found, typed_with, tries, trials, t):
            click.echo(t.paint(line), color=True)
    if any(trials):
        kept = keep(found_run, held)
        for line in _entry("saved", ", ".join(map(str, kept)), t) if not as_json else []:
            click.echo(t.paint(line), color=True)
    return FAILED if found.failed else OK


def _list_rules(as_json: bool, t: Terminal) -> int:
    if as_json:
        held = {n: {"about": inspect.getdoc(r), "thresholds": dict(r.thresholds)}
                for n, r in RULES.items()}  # fmt: skip
        click.echo(json.dumps(held, indent=2))
        return OK
    for name, rule in RULES.items():
        click.echo(t.paint([(name, "strong")]), color=True)
        set_to = " ".join(f"{name}.{key}={value:g}" for key, value in rule.thresholds.items())
        for paragraph in [*(inspect.getdoc(rule) or "").split("\n\n"), set_to]:
            for line in words(paragraph, max(t.width - 2, 20)):
                click.echo(t.paint([("  ", ""), *line]), color=True)
    return OK


def watched_every(run: Run) -> int:
    """The steps between two looks that the run asked for."""
    held = run.described.get("watch")
    every = held.get("every") if isinstance(held, dict) else EVERY
    return every if type(every) is int and every > 0 else EVERY


def _trials(finding: Finding, tries: Tries | None) -> list[Trial]:
    if tries is None or finding.severity == NOTE:
        return []
    tried = [tries.tried(finding, i, fix) for i, fix in enumerate(finding.fixes, 1)]
    return [t for t in tried if t is not None]


def findings_of(run: Run) -> list[dict[str, Any]]:
    """What the rules find in a run, as terms of JSON, with what came of the fixes tried."""
    entries = with_commands(diagnose(run), typing_of(run))
    held = tried_in(run.path)
    for entry in entries:
        commands = dict(enumerate((fix["command"] for fix in entry["fixes"]), 1))
        entry["tried"] = [t.to_json() for t in held.get((entry["id"], entry["title"]), [])
                          if commands.get(t.fix) == t.command]  # fmt: skip
    return entries


def keep(run: Run, held: dict[str, Any]) -> list[Path]:
    """Writes a diagnosis with its trials into the run's folder, and its report again if it has one.

    Raises OutputError where the folder can't be written.
    """
    from .report import FILE as REPORT
    from .report import write_report

    path = Path(run.path) / FILE
    write_json(path, held)
    return [path, write_report(run)] if (path.parent / REPORT).exists() else [path]


def with_commands(found: Diagnosis, typed_with: Typing) -> list[dict[str, Any]]:
    """The findings as terms of JSON, each fix with the command that has it, where there is one."""
    entries: list[dict[str, Any]] = [f.to_json() for f in found]
    for entry, finding in zip(entries, found, strict=True):
        for fix, own in zip(entry["fixes"], finding.fixes, strict=True):
            fix["command"] = typed_with(own.changes)
    return entries


def _as_json(
    run: Run,
    found: Diagnosis,
    typed_with: Typing,
    tries: Tries | None,
    trials: list[list[Trial]],
) -> dict[str, Any]:
    held = {**found.to_json(), "findings": with_commands(found, typed_with)}
    for entry, tried in zip(held["findings"], trials, strict=True):
        entry["tried"] = [t.to_json() for t in tried]
    out = {"run": run.name, **held}
    if tries is not None and any(trials):
        same, odd = tries.same_as(read_looks(run.path))
        out["replay"] = {"steps": tries.steps, "same_loss_at": same, "first_difference": odd}
    return out


# ---------------------------------------------------------------- as lines


def lines_of(
    run: Run, found: Diagnosis, typed_with: Typing, tries: Tries | None,
    trials: list[list[Trial]], t: Terminal,
) -> list[Line]:  # fmt: skip
    """What there is to say, the worst first."""
    replay = _entry("replay", _repeated(tries, run), t) if tries is not None and any(trials) else []
    return findings_lines(run.name, found, typed_with, t, trials, replay)


def findings_lines(
    name: str, found: Diagnosis, typed_with: Typing, t: Terminal,
    trials: Sequence[Sequence[Trial]] = (), replay: Sequence[Line] = (),
) -> list[Line]:  # fmt: skip
    """Findings of what is called so, then how many rules were asked.

    typed_with: the command that has some changes, where there is one.  trials: of each finding.
    """
    lines: list[Line] = []
    for finding, tried in zip(found, trials or [()] * len(found), strict=True):
        lines += _finding(finding, tried, typed_with, t)
        if not t.plain:
            lines.append([])
    lines += replay
    said = f"{name}: {found.said}"
    if t.plain:
        state = f"{found.state.capitalize()}. " if found.state in (HEALTHY, NOTHING) else ""
        return [*lines, [(f"{state}{said}.", "")]]
    if found.state == NOTHING:
        return [*lines, *words(f"{t.signs.warn} {NOTHING}. {said}", t.width, "warn")]
    if found.healthy:
        return [*lines, *words(f"{t.signs.ok} healthy. {said}", t.width, "ok", "  ")]
    return [*lines, *words(said, t.width, "faint")]


def _repeated(tries: Tries, run: Run) -> str:
    same, odd = tries.same_as(read_looks(run.path))
    if odd is not None:
        return (f"without a fix it has another loss than the run at step {odd}: another version, "
                "machine or data; compare the tries with each other only")  # fmt: skip
    at = f"at step {', '.join(map(str, same))}" if same else "where there is no look to compare"
    return f"without a fix it has the run's loss, bit for bit, {at}" if same else at


def _finding(
    finding: Finding, tried: Sequence[Trial], typed_with: Typing, t: Terminal
) -> list[Line]:
    lines = _headline(finding, t)
    lines += _entry("rule", f"{finding.id}, {finding.severity}", t)
    lines += _entry("evidence", finding.evidence, t)
    lines += _entry("cause", finding.cause, t)
    for i, fix in enumerate(finding.fixes, 1):
        if t.plain:
            lines += _entry(f"fix {i}", fix.text, t)
        else:
            lines += _entry("fix" if i == 1 else "", f"{i} {fix.text}", t)
        typed = typed_with(fix.changes)
        if typed is not None:
            lines.append(_typed("command" if t.plain else "", typed, t, "faint"))
    for trial in tried:
        lines += _entry("tried", trial.said, t)
    best = best_of(tried)
    if best is not None:
        lines.append(_typed("keep it", best.command, t, "ok"))
    return lines


def _headline(finding: Finding, t: Terminal) -> list[Line]:
    if t.plain:
        where = f", {finding.where}" if finding.where else ""
        return [[(f"{finding.severity.capitalize()}: {finding.title} suspected{where}.", "")]]
    style = {ERROR: "bad", NOTE: "faint"}.get(finding.severity, "warn")
    sign = {ERROR: t.signs.bad, NOTE: t.signs.dot}.get(finding.severity, t.signs.warn)
    head = f"{sign} {finding.title.upper()} suspected"
    lines = words(head, t.width, style)
    if finding.where and len(head) + 3 + len(finding.where) <= t.width:
        lines[-1] = [*lines[-1], (f"   {finding.where}", "")]
    elif finding.where:
        lines += _entry("where", finding.where, t)
    return lines


def _typed(label: str, command: str, t: Terminal, style: str) -> Line:
    """A command that is to be copied stays on one line."""
    if t.plain:
        return [(f"{label.capitalize()}: {as_typed(command)}", "")]
    head = f"  {label}".ljust(LABEL) if label else " " * (LABEL + 2)
    return [(head, "faint"), (as_typed(command), style)]


def _entry(label: str, text: str, t: Terminal) -> list[Line]:
    if t.plain:
        return [[(f"{label.capitalize()}: {text}".rstrip(".") + ".", "")]]
    head = f"  {label}".ljust(LABEL)
    body = words(text, max(t.width - LABEL, 20))
    return [[(head if i == 0 else " " * LABEL, "faint"), *line] for i, line in enumerate(body)]
