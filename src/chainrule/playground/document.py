"""The page: one HTML file with the trace in it, that opens from anywhere without a network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..derivation.writing import number
from ..markup import escape, in_script
from ..train.files import write_text
from ..version import __version__
from .network import Small, replaced, variants
from .picture import Picture
from .plane import Plane
from .record import Recorded, loss_program
from .steps import Steps
from .training import Training

SCHEMA = "chainrule playground 1"
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("words.js", "training.js", "page.js")
LONGEST = 8
"""Terms of a sum that are written; of longer ones the largest, and the rest added up."""
CONVENTIONS = {
    "cross_entropy": "The loss is L = -Σ y ln p with p = softmax of the outputs; its error at the "
    "output is p - y.",
    "mse": "The loss is the mean of (ŷ - y)² over the outputs, so its error is 2 (ŷ - y) over "
    "their number. For ½(ŷ - y)² halve every gradient.",
    "half": "The loss is ½ Σ (ŷ - y)², so its error is ŷ - y. For (ŷ - y)² double every gradient.",
    "bce": "The loss is -(y ln ŷ + (1 - y) ln(1 - ŷ)), the mean over the outputs.",
    "bce_with_logits": "The loss is -(y ln p + (1 - y) ln(1 - p)) with p = σ of the output, the "
    "mean over the outputs.",
}  # fmt: skip


@dataclass
class Subject:
    """What the page is about: a network, an example, and where they come from."""

    net: Small
    x: Any
    y: Any
    title: str
    about: str
    rate: float = 0.1
    proof: str = ""
    training: Training | None = None
    example: int | None = None


class Page:
    """A page: `.trace` is its data, `.html` its text, `.write(path)` writes it."""

    def __init__(self, subject: Subject) -> None:
        self.title = subject.title
        self.trace = trace_of(subject)
        self.html = html_of(subject, self.trace)

    def write(self, path: str | Path) -> None:
        """Writes the file, whole or not at all."""
        write_text(path, self.html)

    def __repr__(self) -> str:
        return f"Page({self.title!r}, {len(self.trace['steps'])} steps)"

    def _repr_html_(self) -> str:
        """In a notebook: the page in a frame of its own, that can reach nothing outside it."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" sandbox="allow-scripts" '
            f'title="Step through {escape(self.title)}" '
            'style="width:100%;height:60em;border:1px solid gray"></iframe>'
        )


def trace_of(subject: Subject) -> dict[str, Any]:
    """Everything that the page shows, for JSON."""
    net = subject.net
    recorded = Recorded(net, subject.x, subject.y)
    steps = Steps(recorded)
    between = any(d.activation for d in net.layers[:-1])
    tried = variants() if between else {}
    return {
        "schema": SCHEMA,
        "title": subject.title,
        "about": subject.about,
        "example": subject.example,
        "network": {
            "layers": [
                {"name": d.name, "inputs": d.weight.shape[0], "units": d.weight.shape[1],
                 "activation": d.activation.name if d.activation else None}
                for d in net.layers
            ],
            "loss": net.loss.kind,
            "label_smoothing": net.loss.smoothing,
            "scale": list(net.scale) if net.scale else None,
        },
        "labels": steps.labels,
        "program": recorded.program,
        "values": {k: flat(v) for k, v in recorded.values.items()},
        "steps": steps.all(),
        "variants": {name: loss_program(replaced(net, a)) for name, a in tried.items()},
        "training": None if subject.training is None else subject.training.as_data(net),
    }  # fmt: skip


def flat(value: Any) -> list[float | str]:
    """Numbers for JSON; what is not finite as a text."""
    return [float(v) if math.isfinite(v) else str(float(v)) for v in np.ravel(value)]


def html_of(subject: Subject, trace: dict[str, Any]) -> str:
    """The page of a trace."""
    recorded = Recorded(subject.net, subject.x, subject.y)
    steps = Steps(recorded)
    picture = Picture(steps)
    env = Environment(
        loader=FileSystemLoader(ASSETS), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return env.get_template("page.html.j2").render(
        title=subject.title, about=subject.about, rate=f"{subject.rate:g}", proof=subject.proof,
        style=Markup(asset("page.css")), evaluator=Markup(asset("evaluate.js")),
        script=Markup("\n".join(map(asset, SCRIPTS))), trace=Markup(in_script(trace)),
        picture=picture.svg(), caption=caption(picture.written, subject.net),
        steps=[written(s, trace) for s in trace["steps"]], variants=list(trace["variants"]),
        training=None if subject.training is None else shown_training(subject),
        convention=CONVENTIONS[subject.net.loss.kind],
        footer=f"Made by Chainrule {__version__}. One file, no network.",
    )  # fmt: skip


def asset(name: str) -> str:
    """A file of the page."""
    return (ASSETS / name).read_text(encoding="utf-8")


def caption(written: bool, net: Small) -> str:
    """How the picture is read."""
    text = (
        "Each edge has its weight above it and the gradient of the loss by that weight, in "
        "italics, below; each unit its value, its error δ and its bias."
        if written
        else "Each edge is as wide as its weight is large; the numbers of the step are written."
    )
    text += " Solid and blue: positive. Dashed and orange: negative."
    if net.dropped:
        text += f" Dropout ({', '.join(net.dropped)}) is off, as in evaluation mode."
    return text


def shown_training(subject: Subject) -> dict[str, Any]:
    """What the template says of the training."""
    training = subject.training
    assert training is not None
    data = training.as_data(subject.net)
    found: dict[str, Any] = {
        "says": training.says, "rows": training.rows(), "accurate": training.accurate,
        "map": None, "points": 0, "here": "",
    }  # fmt: skip
    if data["map"] is not None:
        plane = Plane(subject.net, training)
        found |= {"map": plane.svg(subject.x), "here": plane.here(), "points": plane.drawn}
    return found


# ---------------------------------------------------------------- formulas as text


def written(step: dict[str, Any], trace: dict[str, Any]) -> dict[str, str]:
    """A step as texts."""

    def value(ref: list[Any]) -> float:
        return float(trace["values"][ref[0]][ref[1]])

    def name(ref: list[Any]) -> str:
        return str(trace["labels"][ref[0]][ref[1]])

    def shown(ref: list[Any]) -> str:
        text = number(value(ref))
        return f"({text})" if text.startswith("-") else text

    return {
        "part": step["part"], "name": name(step["value"]), "says": step["says"],
        "symbols": formula(step["formula"], name, value, False),
        "numbers": formula(step["formula"], shown, value, True),
        "value": number(value(step["value"])), "where": step["where"],
    }  # fmt: skip


def formula(pieces: list[Any], word: Any, value: Any, numbers: bool) -> str:
    """A formula with words, or numbers, in the place of what it reads."""
    parts = []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(piece)
        elif isinstance(piece, dict):
            parts.append(long_sum(piece["sum"], word, value, numbers))
        else:
            parts.append(word(piece))
    return "".join(parts)


def long_sum(terms: list[Any], word: Any, value: Any, numbers: bool) -> str:
    """A sum of products; of many the largest are written."""
    products = [math.prod(value(r) for r in t) for t in terms]
    kept = sorted(range(len(terms)), key=lambda i: (-abs(products[i]), i))
    left = kept[LONGEST - 2 :] if len(terms) > LONGEST else []
    texts = [" × ".join(map(word, t)) for i, t in enumerate(terms) if i not in left]
    if left:
        rest = number(math.fsum(products[i] for i in left))
        texts.append(rest if numbers else f"({len(left)} more)")
    return " + ".join(f"({t})" if t.startswith("-") else t for t in texts)
