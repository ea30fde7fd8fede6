"""A chart in a notebook: its picture or pictures, its words, its table; static."""

from __future__ import annotations

from ..markup import block, escape, folded
from ..markup import table as table_of
from .charts import Chart, said
from .svg import draw

STYLE = (
    "<style>"
    ".chainrule-html svg.chart{max-width:760px;height:auto;font:13px sans-serif}"
    ".chainrule-html svg.chart :is(.axis,.lead,.mark){stroke:currentColor;fill:none}"
    ".chainrule-html svg.chart .mark{stroke-dasharray:2 3}"
    ".chainrule-html svg.chart .grid{stroke:currentColor;stroke-opacity:.2}"
    ".chainrule-html svg.chart :is(.band,path.none,rect.none){fill:currentColor;fill-opacity:.15}"
    ".chainrule-html svg.chart :is(.line,.raw){fill:none;stroke-width:2}"
    ".chainrule-html svg.chart .raw{stroke-width:1;stroke-opacity:.45}"
    ".chainrule-html svg.chart .row{stroke:currentColor;stroke-width:.8}"
    "</style>"
)
"""What the page's style sheet gives the classes of `svg.py`, in the colours of the notebook."""
MOST_ROWS = 200


def chart_html(c: Chart, pictures: list[str] | None = None) -> str:
    """The chart as a piece of a notebook.  pictures: in place of the one that it describes."""
    if pictures is None:
        pictures = [] if c.picture is None else [draw(c.picture, f"{c.title}. {c.summary}")]
    words = [("Shows", c.shows), ("Healthy looks like", c.healthy), ("Here", c.here)]
    said_ = "".join(f"<p><strong>{k}:</strong> {escape(v)}</p>" for k, v in words if v)
    figure = f"<figure>{''.join(pictures)}<figcaption>{escape(c.summary)}</figcaption></figure>"
    rows = [["not computed" if v is None else said(v) for v in row] for row in c.rows[:MOST_ROWS]]
    left = len(c.rows) - len(rows) + c.more
    inside = table_of(c.columns, rows, f"{left} more rows are left out" if left else "")
    return block(c.title, STYLE, figure, said_, folded("as a table", inside))
