"""The page as text: templates filled, data embedded, scripts allowed by their hashes."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ..derivation.page import STYLE
from ..markup import in_script
from ..train.files import worded, write_text
from ..version import __version__
from . import assets
from .charts import Chart, finite, said
from .learning import MOST_ROWS
from .svg import draw
from .thin import kept
from .vega import PLAIN, POWERS, data_of, specification

SECTIONS = (
    ("verdict", "Verdict"), ("run", "Run"), ("findings", "Findings"), ("learning", "Learning"),
    ("flow", "Gradient flow"), ("inside", "Inside the layers"), ("example", "One step"),
    ("graph", "Graph"), ("results", "Results"), ("reading", "How to read"), ("numbers", "Data"),
)  # fmt: skip

SCHEMA = "chainrule report 1"
"""Of the data in the page: {schema, name, title, charts: {id: {title, summary, columns, rows}}}."""


def render(
    template: str, title: str, charts: dict[str, Chart | None], sections: Any = SECTIONS,
    extra: dict[str, Any] | None = None, name: str = "report", **values: Any,
) -> str:  # fmt: skip
    """The whole page; extra: what scripts need besides the charts."""
    scripts = [assets.own("page.js")]
    others: list[str] = []
    shown = {k: c for k, c in charts.items() if c is not None}
    if any(c.picture for c in shown.values()):
        others += map(assets.vendored, assets.DRAWING)
        scripts.append(assets.own("charts.js"))
    extra = extra or {}
    if "clicks" in extra:
        scripts.insert(-1, assets.own("sound.js"))
    if extra.get("graph"):
        others += map(assets.vendored, assets.LAYOUT)
        scripts.append(assets.own("graph.js"))
    if extra.get("boundary"):
        scripts.append(assets.own("boundary.js"))
    embedded = {k: _embedded(c) for k, c in shown.items()}
    data = {"schema": SCHEMA, "name": name, "title": title, "charts": embedded, "powers": POWERS,
            "plain": PLAIN, **extra}  # fmt: skip
    return _templates().get_template(template).render(
        title=title, heading=title, charts=charts, sections=sections,
        policy=assets.policy(scripts + others), packed=[assets.packed(s) for s in others],
        style=Markup(assets.own("style.css") + STYLE), data=Markup(in_script(_worded(data))),
        scripts=[Markup(s) for s in scripts],
        footer=f"Written by Chainrule {__version__}. This page needs no network and asks for none.",
        **values,
    )  # fmt: skip


@functools.cache
def _templates() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(assets.PAGE), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    found.filters |= {"said": said, "picture": _picture, "table_rows": table_rows,
                      "css_words": _css_words, "typed": _typed}  # fmt: skip
    return found


def _css_words(words: str) -> str:
    """Words for a style sheet: letters, digits and a few signs; others are left out."""
    return re.sub(r"[^\w .,:+-]", "", words)


def _typed(command: str) -> Markup:
    """A command whose lines break between words only, and not after a hyphen."""
    return Markup(" ").join(Markup("<span>{}</span>").format(word) for word in command.split(" "))


def _picture(chart: Chart) -> Markup:
    assert chart.picture is not None
    return Markup(draw(chart.picture, f"{chart.title}. {chart.summary}"))


def table_rows(chart: Chart) -> dict[str, Any]:
    """The rows that a table shows; of long ones the peaks and troughs of every column."""
    columns = [list(c) for c in zip(*chart.rows, strict=True)] if chart.rows else []
    words = [not all(v is None or isinstance(v, (int, float)) for v in c) for c in columns]
    numbers = [c for c, is_words in zip(columns[2:] or columns, words[2:] or words, strict=True)
               if not is_words]  # fmt: skip
    rows = chart.rows
    if len(rows) > MOST_ROWS and numbers and not any(words):
        rows = [rows[i] for i in kept(numbers, MOST_ROWS)]
    total = len(chart.rows) + chart.more
    words = words or [True] * len(chart.columns)
    return {"rows": rows, "words": words, "total": total, "left": total - len(rows)}


def _embedded(chart: Chart) -> dict[str, Any]:
    rows = [[_nine_digits(v) for v in row] for row in chart.rows]
    held: dict[str, Any] = {"title": chart.title, "summary": chart.summary,
                            "columns": chart.columns,
                            "rows": rows}  # fmt: skip
    if chart.more:
        held["rows_left_out"] = chart.more
    if chart.picture is not None:
        held |= {"data": data_of(chart), "spec": specification(chart.picture)}
    return held


def _nine_digits(value: Any) -> Any:
    """As many digits as tell any two float32 apart."""
    return float(f"{value:.9g}") if isinstance(value, float) and finite(value) else value


def _worded(value: Any) -> Any:
    """For JSON: what is not finite is a text, as in layers.jsonl."""
    if isinstance(value, dict):
        return {k: _worded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_worded(v) for v in value]
    return worded(value)


def write_page(path: Path, text: str) -> None:
    """The file, whole or not at all."""
    write_text(path, text)
