"""Pictures as Vega-Lite specifications: what scripts draw in the place of the still picture.

A specification names its data `table`; the page hands them over.  `stop` is the place that the
arrow keys have moved to.
"""

from __future__ import annotations

from typing import Any

from .charts import (
    BAD,
    FLAT,
    GREY,
    NONE,
    VERMILLION,
    Chart,
    Heat,
    Histograms,
    Lines,
    Panel,
    Series,
    finite,
)

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""The name of the language; nothing is loaded from there."""

TINY = "datum.value && abs(datum.value) < 1e-3 ? format(datum.value, '.1~e') : datum.label"
PLAIN = {"tickCount": 5, "format": ".4~g", "labelLimit": 56}
SHORT = "datum.value < 1e-3 || datum.value >= 1e5 ? format(datum.value, '.0e') : datum.label"
POWERS = {"values": [10.0**k for k in range(-30, 31)], "format": "~g", "labelExpr": SHORT,
          "labelOverlap": True}  # fmt: skip
"""Axes of values: as they are, and with whole powers of ten."""


def specification(picture: Any) -> dict[str, Any]:
    """The picture without its numbers."""
    if isinstance(picture, Lines):
        spec = _lines(picture)
    elif isinstance(picture, Heat):
        spec = _heat(picture)
    else:
        spec = _histograms(picture)
    return {"$schema": SCHEMA, "data": {"name": "table"},
            "params": [{"name": "stop", "value": None}], **spec}  # fmt: skip


def data_of(chart: Chart) -> dict[str, Any]:
    """The numbers of a picture for the page's script; those of the table are not said twice."""
    picture = chart.picture
    if isinstance(picture, Lines):
        columns = list(zip(*chart.rows, strict=True))
        known = [list(c) for c in columns]
        series = [
            {"p": p, "n": s.name, "r": s.raw, "x": _known(s.x, known), "y": _known(s.y, known)}
            for p, panel in enumerate(picture.panels) for s in panel.series
        ]  # fmt: skip
        return {"kind": "lines", "x": picture.x_title, "series": series}
    if isinstance(picture, Heat):
        values = [[_round(v) if finite(v) else v for v in row] for row in picture.values]
        depth = chart.columns[1:] if picture.powers else [row[0] for row in chart.rows]
        return {"kind": "heat", "x": picture.x, "names": picture.names, "values": values,
                "powers": picture.powers,
                "depth": depth}  # fmt: skip
    if isinstance(picture, Histograms):
        return {"kind": "histograms", "parts": [
            {"row": h.row, "column": h.column, "low": h.low, "high": h.high, "counts": h.counts}
            for h in picture.parts]}  # fmt: skip
    return {"kind": "table"}


def _known(values: list[Any], columns: list[list[Any]]) -> Any:
    """The number of an equal column of the table, or the numbers themselves."""
    for i, column in enumerate(columns):
        if column == values:
            return i
    return [_round(v) for v in values]


def _round(v: Any) -> Any:
    """Six digits are more than a screen has; what is not finite is a gap."""
    return float(f"{v:.6g}") if finite(v) else None


def _lines(picture: Lines) -> dict[str, Any]:
    last = len(picture.panels) - 1
    panels = [_panel(p, k, picture.x_title if k == last else None)
              for k, p in enumerate(picture.panels)]  # fmt: skip
    return {"vconcat": panels, "spacing": 14,
            "resolve": {"scale": {"x": "shared", "color": "independent",
                                  "strokeDash": "independent"}}}  # fmt: skip


def _ends(panel: Panel) -> dict[str, Any]:
    """Where the axis of shares ends; that of other numbers is left to the library."""
    return {"domain": [float(f"{v:.4g}") for v in panel.ends], "nice": False} if panel.share else {}


def _panel(panel: Panel, number: int, x_title: str | None) -> dict[str, Any]:
    keep = f"datum.p === {number}" + (" && datum.y > 0" if panel.log else "")
    x = {"field": "x", "type": "quantitative", "title": x_title, "scale": {"nice": False},
         "axis": {"grid": False, "tickCount": 8, "labelBound": True}}  # fmt: skip
    y = {"field": "y", "type": "quantitative", "title": panel.y_title,
         "scale": {"type": "log"} if panel.log else {"zero": False, **_ends(panel)},
         "axis": POWERS if panel.log else PLAIN}  # fmt: skip
    shared = {"x": x, "y": y, **_looks(panel.series)}
    told = [{"field": "x", "title": "step"}, {"field": "n", "title": "what"},
            {"field": "y", "title": panel.y_title, "format": ".5~g"}]  # fmt: skip
    layers: list[dict[str, Any]] = []
    if panel.band is not None:
        low, high, name = panel.band
        layers.append({
            "data": {"values": [{"low": low, "high": high, "name": name}]},
            "mark": {"type": "rect", "color": GREY, "opacity": 0.16},
            "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
        })  # fmt: skip
    layers += [
        {"encoding": shared, "layer": [
            {"transform": [{"filter": "datum.r"}],
             "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.45}},
            {"transform": [{"filter": "!datum.r"}], "mark": {"type": "line", "strokeWidth": 2}},
            {"transform": [{"filter": "!datum.r"}],
             "mark": {"type": "point", "size": 90, "opacity": 0}, "encoding": {"tooltip": told}},
        ]},
        {"transform": [{"filter": "datum.x === stop"}], "mark": {"type": "rule", "size": 1.5},
         "encoding": {"x": x}},
    ]  # fmt: skip
    flat = panel.height < FLAT  # above it, since the curve would cross the words
    xs = [v for s in panel.series for v in s.x] or [0.0]
    middle = (min(xs) + max(xs)) / 2
    for at, words in panel.marks:
        layers.append({"data": {"values": [{"x": at, "t": words}]},
                       "mark": {"type": "rule", "strokeDash": [2, 3]},
                       "encoding": {"x": {"field": "x", "type": "quantitative"}}})  # fmt: skip
        layers.append({"data": {"values": [{"x": at, "t": words}]},
                       "mark": {"type": "text", "align": "right" if at > middle else "left",
                                "dx": -4 if at > middle else 4,
                                "baseline": "bottom" if flat else "top"},
                       "encoding": {"x": {"field": "x", "type": "quantitative"},
                                    "y": {"value": -4 if flat else 2},
                                    "text": {"field": "t"}}})  # fmt: skip
    return {"width": 600, "height": panel.height, "transform": [{"filter": keep}], "layer": layers}


def _looks(series: list[Series]) -> dict[str, Any]:
    """Colour and dashes by name."""
    names = [s.name for s in series if not s.raw]
    every = [s.name for s in series]
    legend = {
        "title": None,
        "orient": "top",
        "values": names,
        "symbolType": "stroke",
        "symbolOpacity": 1,
        "symbolStrokeWidth": 2,
        "symbolSize": 1600,
    }
    return {
        "color": {"field": "n", "type": "nominal", "legend": legend,
                  "scale": {"domain": every, "range": [s.colour for s in series]}},
        "strokeDash": {"field": "n", "type": "nominal", "legend": legend,
                       "scale": {"domain": every,
                                 "range": [list(s.dash) or [1, 0] for s in series]}},
    }  # fmt: skip


def _heat(h: Heat) -> dict[str, Any]:
    x = {"field": "x", "type": "ordinal", "title": h.x_title,
         "axis": {"labelOverlap": True, "labelAngle": 0}}  # fmt: skip
    y = {"field": "n", "type": "nominal", "title": None, "sort": h.names}
    told = [{"field": "n", "title": h.y_title}, {"field": "x", "title": "step"},
            {"field": "size", "title": h.scale}]  # fmt: skip
    colour = {"field": "v", "type": "quantitative",
              "title": f"log10 {h.scale}" if h.powers else h.scale,
              "scale": {"scheme": "viridis"} | ({} if h.powers else {"domain": [0, 1]}),
              "legend": {"format": "d", "tickMinStep": 1}
              if any(finite(v) for row in h.values for v in row) else None}  # fmt: skip
    return {
        "width": 500, "height": {"step": 26 if len(h.names) < 14 else 17}, "layer": [
            {"transform": [{"filter": "isNumber(datum.v)"}],
             "mark": {"type": "rect", "strokeWidth": 0},
             "encoding": {"x": x, "y": y, "color": colour, "tooltip": told}},
            {"transform": [{"filter": "datum.bad"}], "mark": {"type": "text", "text": BAD},
             "encoding": {"x": x, "y": y, "tooltip": told}},
            {"transform": [{"filter": "datum.zero"}], "mark": {"type": "text", "text": NONE},
             "encoding": {"x": x, "y": y, "tooltip": told}},
            {"transform": [{"filter": "datum.k === stop"}],
             "mark": {"type": "rect", "fillOpacity": 0, "stroke": VERMILLION, "strokeWidth": 3},
             "encoding": {"x": x, "y": y}},
        ],
    }  # fmt: skip


def _histograms(g: Histograms) -> dict[str, Any]:
    rows = list(dict.fromkeys(p.row for p in g.parts))
    columns = list(dict.fromkeys(p.column for p in g.parts))
    return {
        "facet": {
            "row": {"field": "row", "type": "nominal", "sort": rows, "title": None,
                    "header": {"labelAngle": 0, "labelAlign": "left"}},
            "column": {"field": "column", "type": "nominal", "sort": columns, "title": None},
        },
        "spec": {
            "width": 160, "height": 58, "mark": {"type": "bar", "binSpacing": 0},
            "encoding": {
                "x": {"field": "low", "type": "quantitative", "bin": "binned", "title": None,
                      "axis": {"tickCount": 3, "labelOverlap": True, "format": ".2~g",
                               "labelExpr": TINY}},
                "x2": {"field": "high"},
                "y": {"field": "count", "type": "quantitative", "title": None, "axis": None},
                "color": {"condition": {"test": "datum.k === stop", "value": VERMILLION},
                          "value": g.colour},
                "tooltip": [{"field": "low"}, {"field": "high"}, {"field": "count"}],
            },
        },
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
    }  # fmt: skip
