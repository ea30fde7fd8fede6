"""`chainrule explain`: gradients in symbols and in numbers, of a small network or of a run."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from ..derivation import derive
from ..derivation.models import Steps
from ..derivation.network import ACTIVATIONS, LOSSES, Layer, Network
from ..derivation.parts import Derivation
from ..derivation.parts import Name as Named
from ..derivation.record import as_data, case_study, read
from ..derivation.text import Text
from .app import Command, UsageProblem
from .options import Name, Number, plain_option, runs_dir
from .terminal import ASCII, Line, Terminal, detect, words
from .view.draw import Column, table


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """Numbers with commas between them."""

    name = "numbers"

    def get_metavar(self, param: click.Parameter, ctx: Any = None) -> str:
        return "X,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> list[float]:
        try:
            return [float(part) for part in str(value).split(",")]
        except ValueError:
            raise UsageProblem(
                f"{param.opts[-1]} must be numbers with commas between them", got=repr(value),
                line="",
            ) from None  # fmt: skip


NEURON = ("x", "w", "b", "y", "act")
OF_RUNS = ("example", "optimizer", "top")
FILES = (".toml", ".yaml", ".yml", ".json")


def _neuron(given: dict[str, Any], loss: str) -> Network:
    """One neuron from the options."""
    x, w = given["x"] or [1.5], given["w"] or [0.8]
    if len(x) != len(w):
        raise UsageProblem("--x and --w must have equally many numbers", got=f"{len(x)} and "
                           f"{len(w)}", line="")  # fmt: skip
    b, y = (given[k] if given[k] is not None else v for k, v in (("b", -0.2), ("y", 1.0)))
    layer = Layer([[v] for v in w], [b], given["act"] or "sigmoid")
    return Network(x, [layer], [y], loss)


def _weight(text: str | None, network: Network) -> tuple[int, int, int] | None:
    """W2[3,1], counted from 1, as (layer, row, column)."""
    if text is None:
        return None
    found = re.fullmatch(r"W(\d+)\[(\d+)(?:,(\d+))?\]", text.replace(" ", ""))
    layer, row, column = (int(n or 1) for n in found.groups()) if found else (0, 0, 0)
    shape = (0, 0)
    if 1 <= layer <= len(network.layers):
        shape = network.layers[layer - 1].weight.shape
    if not (1 <= row <= shape[0] and 1 <= column <= shape[1]):
        last = network.layers[-1].weight.shape
        raise UsageProblem(
            f"--weight: there is no weight {text!r}",
            expected=f"W1[1,1] to W{len(network.layers)}[{last[0]},{last[1]}]: layer, input, unit",
            line="",
        )
    return layer, row - 1, column - 1


def _is_run(what: str) -> bool:
    """Whether it is a run, and not a neuron or a network in a file."""
    return what not in ("neuron", "seed221") and Path(what).suffix.lower() not in FILES


def _of_run(what: str, runs_dir: str, given: dict[str, Any]) -> dict[str, Any]:
    """What is asked of a run."""
    for name in (*NEURON, "loss"):
        if given[name] is not None:
            raise UsageProblem(f"--{name} is for `explain neuron`", got=what, line="")
    if given["optimizer"] and (given["lr"] is not None or given["step"]):
        raise UsageProblem(
            "--optimizer shows a step of its own: leave out --lr and --step", line=""
        )
    lr = given["lr"] if given["lr"] is not None else 0.1 if given["step"] else None
    return {"name": what, "folder": runs_dir, "weight": given["weight"], "lr": lr,
            "example": given["example"], "optimizer": given["optimizer"],
            "top": given["top"] or 3}  # fmt: skip


def _derivation(what: str, given: dict[str, Any]) -> Derivation:
    for name in OF_RUNS:
        if given[name] is not None and given[name] is not False:
            raise UsageProblem(f"--{name} is for runs", got=what, line="")
    rate = given["lr"] if given["step"] or given["lr"] is not None else None
    rate = 0.1 if given["step"] and rate is None else rate
    if what == "neuron":
        if given["weight"]:
            raise UsageProblem("--weight is for networks: of a neuron all are shown", line="")
        return derive.neuron(_neuron(given, given["loss"] or "mse"), rate=rate)
    for name in NEURON:
        if given[name] is not None:
            raise UsageProblem(f"--{name} is for `explain neuron`", got=what, line="")
    if given["loss"] is not None:
        raise UsageProblem("--loss is for `explain neuron`; a file has its own", line="")
    network = case_study() if what == "seed221" else read(what)[0]
    weight = _weight(given["weight"], network)
    if len(network.layers) == 1 and network.nodes[Named("z", 1)].shape == (1, 1):
        return derive.neuron(network, rate=rate)
    return derive.network(network, rate=rate, weight=weight)


@click.command(cls=Command, short_help="Derives gradients, number by number, and proves them.")
@click.argument("what", metavar="neuron|seed221|FILE.toml|RUN")
@click.option("--x", type=Numbers(), help="The neuron's inputs (1.5).")
@click.option("--w", type=Numbers(), help="Its weights (0.8).")
@click.option("--b", type=Number(-1e300), help="Its bias (-0.2).")
@click.option("--y", type=Number(-1e300), help="The target (1).")
@click.option("--act", type=Name(tuple(ACTIVATIONS)), help="Its activation (sigmoid).")
@click.option("--loss", type=Name(tuple(LOSSES)), help="Its loss (mse).")
@click.option("--lr", type=Number(0, open_low=True), help="Also shows a step of so much.")
@click.option("--step", is_flag=True, help="Also shows a step of gradient descent (lr 0.1).")
@click.option("--weight", help="The weight that is spelled out: W2[3,1] (W1[1,1]); of a run "
              "fc1.weight[3,7], or fc1 for a layer (all layers).")  # fmt: skip
@click.option("--example", type=Number(0, whole=True), help="Of a run: one held-out row, as of "
              "predict --index (a batch of training rows).")  # fmt: skip
@click.option("--optimizer", is_flag=True, help="Of a run: the optimizer's update "
              "of the weight; without one the largest steps of each parameter.")  # fmt: skip
@click.option("--top", type=Number(1, 1000, whole=True), help="Of a run: so many examples, units "
              "and paths are listed (3).")  # fmt: skip
@click.option("--digits", type=Number(1, 15, whole=True), default=6, help="Digits shown (6).")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@runs_dir
@plain_option
def command(
    what: str, digits: int, as_json: bool, runs_dir: str, plain: bool, **given: Any
) -> None:
    """Derives every gradient of a neuron, of a small dense network, or of a run.

    The forward pass, the four equations of backpropagation, one weight as what each path to the
    loss carries, how the error shrinks on its way, and the proof by finite differences.  Of a run:
    which examples, units and paths carry one weight's gradient, or the gradients layer by layer.

    \b
    Examples:
      chainrule explain neuron --x 1.5 --w 0.8 --b -0.2 --y 1 --lr 0.1
      chainrule explain seed221 --step
      chainrule explain network.toml --weight W2[1,1]
      chainrule explain digits-0001 --weight fc1.weight[3,7] --example 5
      chainrule explain digits-0001 --optimizer
    """
    found = steps = None
    if _is_run(what):
        from .explained import explanation  # loads data and models

        found, steps = explanation(**_of_run(what, runs_dir, given))
    derivation = _derivation(what, given) if found is None else found.derivation
    terminal = detect(sys.stdout, plain=plain)
    ascii_only = terminal.signs is ASCII
    text = Text(derivation, width=max(terminal.width, 40), digits=digits, ascii_only=ascii_only,
                plain=plain)  # fmt: skip
    if as_json:
        data = as_data(derivation, text) if found is None else found.data(digits, ascii_only)
        if steps is not None:
            data["optimizer"] = steps.to_json()
        click.echo(json.dumps(data, indent=2, ensure_ascii=ascii_only, allow_nan=False))
        return
    for line in text.lines():
        click.echo(line)
    if steps is not None:
        for row in step_lines(steps, terminal):
            click.echo(terminal.paint(row), color=True)


def step_lines(steps: Steps, t: Terminal) -> list[Line]:
    """The optimizer's next step: a table of the entries; --plain: a sentence for each."""
    heads, cells = steps.columns, steps.cells()
    if t.plain:
        told = [", ".join(f"{h} {c}" for h, c in zip(heads[1:], row[1:], strict=True))
                for row in cells]  # fmt: skip
        return [[(steps.said, "")], *([(f"{row[0]}: {text}.", "")]
                                      for row, text in zip(cells, told, strict=True))]  # fmt: skip
    columns = [
        Column(head, [[(row[i], "")] for row in cells],
               99 if i in (0, len(heads) - 1) else 50 - i, i > 0)
        for i, head in enumerate(heads)
    ]  # fmt: skip
    return [[], *words(steps.said, t.width, "strong"), *table(columns, t.width)]
