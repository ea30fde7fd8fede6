"""The command group: finds commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from ..errors import ChainruleError, OutputError, no_user_code
from ..version import __version__
from .names import COMMANDS as COMMANDS
from .terminal import as_typed, detect, rows
from .threads import one_blas_thread

OK, FAILED, USAGE, UNWRITABLE, INTERRUPTED = 0, 1, 2, 3, 130

FIRST_STEPS = """\
Chainrule trains neural networks by backpropagation.

Start here:

  chainrule train digits      learn to read handwritten digits, in seconds
  chainrule runs              what was trained, and how well
  chainrule diagnose digits   whether it learned as it should, and what may mend it
  chainrule explain neuron    a gradient worked out, number by number
  chainrule playground        a page that steps through a small network
  chainrule train --help      everything that can be changed

`chainrule --help` lists the commands.
"""

PLACES = "chainrule.settings"
"""In a context's meta: the line of each setting of --config, `a.toml:3`."""

TRACEBACK = click.Option(
    ["--traceback"], is_flag=True, expose_value=False, help="Show where an error came from."
)


class UsageProblem(ChainruleError, ValueError):
    """The command was not typed as it should be: exit code 2."""


def as_usage(error: ChainruleError) -> UsageProblem:
    """The same message, as a mistake in what was typed."""
    return UsageProblem(
        error.problem, expected=error.expected, got=error.got, fix=error.fix, line=""
    )


class Interrupted(ChainruleError):
    """A signal or the key q; what was reached is saved, as the problem says: 128 + its number."""

    code = INTERRUPTED

    def by(self, name: str | None) -> Interrupted:
        """Itself with the exit code of a signal, `SIGTERM`; that of Ctrl-C for the key q."""
        self.code = 128 + getattr(signal, name or "", signal.SIGINT)
        return self


class Command(click.Command):
    """A command that also takes the global option --traceback after its name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(TRACEBACK)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses; click forgets whose option it was that had no value."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; no frame up to here is a line of the user's."""
        no_user_code()
        try:
            return super().invoke(ctx)
        except UsageProblem as error:
            error.line = error.line or self._line_of(error.problem, ctx)
            raise

    def _line_of(self, problem: str, ctx: click.Context) -> str:
        """Where the first option stands that a problem is about, if in the file of --config."""
        names = {flag: p.name for p in self.params for flag in (*p.opts, *p.secondary_opts)}
        held = ctx.meta.get(PLACES, {})
        for flag in re.findall(r"--[a-z]+(?:-[a-z]+)*", problem):
            name = names.get(flag)
            if (
                name
                and name in held
                and ctx.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
            ):
                return str(held[name])
        return ""


class App(click.Group):
    """The group `chainrule`: loads commands by name, and owns the exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name.replace('-', '_')}", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise UsageProblem(
                f"there is no command {name!r}",
                expected=", ".join(COMMANDS),
                fix=did_you_mean(name, COMMANDS) or "chainrule --help",
                line="",
            )
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Runs the command line and leaves with its exit code."""
        typed = sys.argv[1:] if args is None else list(args)
        one_blas_thread()
        for name in ("stdout", "stderr"):  # closed by `>&-`
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        try:
            result = super().main(typed, prog_name or "chainrule", standalone_mode=False)
            code = result if isinstance(result, int) else OK
            sys.stdout.flush()
        except BaseException as error:
            code = report(error, "--traceback" in typed)
        sys.exit(code)


def did_you_mean(name: str, known: Sequence[str]) -> str | None:
    """`did you mean adam?`, or None where nothing is near."""
    near = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {near[0]}?" if near else None


def report(error: BaseException, with_traceback: bool) -> int:
    """Says on stderr what went wrong; returns the exit code."""
    if isinstance(error, BrokenPipeError):  # `chainrule ... | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    if isinstance(error, (SystemExit, click.exceptions.Exit)):
        code = error.code if isinstance(error, SystemExit) else error.exit_code
        return code if isinstance(code, int) else FAILED
    if with_traceback:
        traceback.print_exception(error, file=sys.stderr)
    code, text = _explain(error)
    print(as_typed(rows(text, detect(sys.stderr).width)), file=sys.stderr)
    return code


def _explain(error: BaseException) -> tuple[int, str]:
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return INTERRUPTED, "stopped at once; only what the last checkpoint holds is saved"
    if isinstance(error, Interrupted):
        return error.code, str(error)
    if isinstance(error, click.UsageError):
        where = f"{error.ctx.command_path} --help" if error.ctx else "chainrule --help"
        return USAGE, f"error: {error.format_message()}\n  try       {where}"
    if isinstance(error, UsageProblem):
        return USAGE, f"error: {error}"
    if _unwritable(error):
        ours = isinstance(error, ChainruleError)
        return UNWRITABLE, f"error: {error if ours else _writing(error)}"
    if isinstance(error, ChainruleError):
        return FAILED, f"error: {error}"
    return FAILED, (
        f"error: {type(error).__name__}: {error}\n"
        "  This is a mistake in Chainrule, not in what you typed.\n"
        "  try       the same command with --traceback, to see where"
    )


def _writing(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f"can't write{f' {name}' if name else ''}: {getattr(error, 'strerror', error)}"


def _unwritable(error: BaseException) -> bool:
    full = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR)
    return isinstance(error, OutputError) or (isinstance(error, OSError) and error.errno in full)


@click.group(
    cls=App,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[TRACEBACK],
    epilog="Exit codes: 0 done, 1 the run failed, 2 wrong usage, 3 can't write, 130 Ctrl-C or q, "
    "143 SIGTERM.",
)
@click.version_option(__version__, message="chainrule %(version)s")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Trains neural networks by backpropagation, and shows how they learn."""
    if ctx.invoked_subcommand is None:
        click.echo(as_typed(FIRST_STEPS), nl=False)


def main() -> NoReturn:
    """The command `chainrule`."""
    app.main()
