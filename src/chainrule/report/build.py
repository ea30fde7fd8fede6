"""The report of one run: every section filled from what the run holds."""

from __future__ import annotations

from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from .. import nn
from ..diagnosis.trial import Trial, best_of
from ..markup import counted
from . import (
    amounts,
    boundary,
    dynamics,
    flow,
    graph,
    inside,
    labels,
    results,
    stepping,
    worked,
)
from .charts import Chart, Heat, Lines, finite, percent, said
from .largest import largest
from .learning import learning
from .page import SECTIONS, render
from .subject import LEVELS, SIGNS, Subject, verdict_of

UNDIAGNOSED = "Nobody has diagnosed this run, so whether it has faults is not known."
UNWATCHED = ("Not computed: the run has no layers.jsonl, so nobody looked inside its layers while "
             "it was trained.")  # fmt: skip

BY_HAND = {"example", "optimizer", "graph"}
"""Sections that a table's networks don't have."""
LEFT_OUT = ("Not on this page, since the networks of a table are not worked by hand: the largest "
            "gradient of each layer, one step explained, the optimizer's next step, the "
            "computation graph.")  # fmt: skip

CHARTS = ("learning", "flow", "ratios", "ledger", "activations", "gradients", "units", "optimizer",
          "graph", "confusion", "labels", "calibration", "dynamics", "boundary")  # fmt: skip
"""In the order of the page."""


def charts_of(s: Subject) -> dict[str, Chart | None]:
    """The charts by their place on the page, those that files alone give; None for the others."""
    charts: dict[str, Chart | None] = dict.fromkeys(CHARTS)
    charts["learning"] = learning(s.rows)
    if s.looks:
        charts |= {
            "flow": flow.gradient_flow(s.looks), "ratios": flow.update_ratios(s.looks),
            "ledger": flow.ledger(s.looks), "units": inside.units(s.looks),
            "activations": inside.histograms(s.looks, "activations"),
            "gradients": inside.histograms(s.looks, "gradients"),
        }  # fmt: skip
    if s.steps is not None:
        charts["optimizer"] = stepping.chart(*s.steps)
    if s.predictions is not None:
        names = s.held.names if s.held is not None else ()
        charts["dynamics"] = dynamics.chart(s.predictions, names)
    return charts


def build(s: Subject) -> str:
    """The page of a run as HTML."""
    charts = charts_of(s)
    values: dict[str, Any] = {
        "verdict": verdict_of(s), "facts": facts(s), "command": s.environment.get("command"),
        "modules": modules(s.model), "columns": columns(s.columns), "folder": s.folder,
        "run": s.name,
        "recorded_model": (s.config.get("trainer") or {}).get("model") or s.config.get("model"),
        "undiagnosed": UNDIAGNOSED, "unwatched": UNWATCHED, "no_steps": s.no_steps,
        "watched": bool(s.looks), "left_out": LEFT_OUT if s.of_table else None,
        "tries": not s.of_table,
    }  # fmt: skip
    extra: dict[str, Any] = {}
    values |= _largest(s, charts["flow"], extra)
    values |= _example(s, charts, extra)
    values |= _results(s, charts)
    values["amounts"] = _amounts(s, charts)
    values["no_chart"] = [a.name for a in s.amounts[amounts.MOST :]]
    values["stills"] = []
    if s.frames is not None and s.held is not None:
        charts["boundary"], values["stills"] = _boundary(s, extra)
    values["findings"] = _findings(s.findings, charts)
    if charts["learning"] is not None:
        extra["clicks"] = _clicks(charts["learning"], s.findings or [])
    sections = [part for part in SECTIONS if not s.of_table or part[0] not in BY_HAND]
    return render("run.html", f"Report of {s.name}", charts, sections, extra=extra, name=s.name,
                  **values)  # fmt: skip


# ---------------------------------------------------------------- run card


RECIPE = {
    "optimizer": "optimizer", "lr": "learning rate", "momentum": "momentum",
    "weight_decay": "weight decay", "schedule": "schedule", "batch_size": "batch size",
    "dropout": "dropout", "init": "first weights", "label_smoothing": "label smoothing",
    "clip_grad_norm": "gradient clipped at", "val_fraction": "share of validation rows",
    "patience": "patience of early stopping", "metric": "best epoch by",
}  # fmt: skip


def facts(s: Subject) -> list[tuple[str, Any]]:
    """What there is to know of a run before its curves."""
    recipe = s.config.get("recipe") or s.config.get("table") or {}
    result, env = s.result or {}, s.environment
    lasted, steps = sum(r.get("seconds") or 0.0 for r in s.rows), result.get("steps")
    rate = result.get("steps_per_second")
    if rate is None and steps is not None and finite(steps) and lasted > 0:
        rate = steps / lasted
    found: list[tuple[str, Any]] = [
        ("model", s.config.get("model")), ("parameters", s.config.get("parameters")),
        ("data", recipe.get("data")),
    ]  # fmt: skip
    said_of = s.held or s.labels or next(iter(s.amounts), None)
    if said_of is not None:
        found.append(("held-out rows", len(said_of.true)))
    found += _scores(s)
    taken = recipe | {"batch_size": s.config.get("batch", recipe.get("batch_size"))}
    found += [(words, taken[k]) for k, words in RECIPE.items() if taken.get(k) is not None]
    found += [
        ("seed", env.get("seed", recipe.get("seed"))),
        ("epochs", result.get("epochs", len(s.rows))),
        ("steps", steps), ("ended by", result.get("stopped") or "not yet"),
        ("time of the epochs, s", lasted),
        ("steps a second", rate),
    ]  # fmt: skip
    if result.get("compiled") is not None:
        seconds = said(result.get("compile_seconds"))
        found.append(("compiled", f"yes, in {seconds} s" if result["compiled"] else "no, eager"))
    if finite(result.get("watch_overhead")):
        looks = result.get("watch_looks")
        times = f", {looks} looks inside" if isinstance(looks, int) else ""
        found.append(("time spent watching", f"{percent(result['watch_overhead'], 1)}{times}"))
    packages = ", ".join(f"{k} {v}" for k, v in (env.get("packages") or {}).items())
    found += [
        ("started", env.get("started")), ("Chainrule", env.get("chainrule")),
        ("Python", env.get("python")), ("packages", packages or None),
        ("platform", env.get("platform")), ("processors", env.get("cpu_count")),
    ]  # fmt: skip
    return found


def _scores(s: Subject) -> list[tuple[str, Any]]:
    """What the result has of predicted amounts, as `chainrule evaluate` says it."""
    if not s.amounts:
        return []
    count = len(s.amounts)
    over = f", the mean over {count} targets" if count > 1 else ""
    found = {n: (s.result or {}).get(f"test_{n}") for n in ("rmse", "mae", "r2")}
    return [(f"held-out {n}{over}", v) for n, v in found.items() if v is not None]


def modules(model: nn.Module | None) -> Chart | None:
    """The modules with their shapes and numbers of parameters."""
    if model is None:
        return None
    rows = []
    for name, m in model.named_modules():
        if list(m.children()) or not name:
            continue
        shapes = ", ".join(f"{k} {'×'.join(map(str, p.shape))}" for k, p in m.named_parameters())
        rows.append([name, type(m).__name__, shapes or "none",
                     sum(p.numel() for p in m.parameters())])  # fmt: skip
    return Chart("modules", "Modules in the order in which they were made", "", "", "", "",
                 ["name", "kind", "learned", "numbers"], rows)  # fmt: skip


def columns(held: list[dict[str, Any]]) -> Chart | None:
    """The columns of a table, and what they were taken for."""
    if not held:
        return None
    rows = [[c["name"], "left out" if c["kind"] == "drop" else c["kind"], c["why"]] for c in held]
    return Chart("columns", "Columns of the table", "", "", "", "", ["column", "kind", "why"], rows)


TOLD = {
    "id": "rule", "layers": "layers", "steps": "steps", "evidence": "evidence",
    "numbers": "numbers", "cause": "suspected cause", "multiplier": "multiplier",
}  # fmt: skip
"""What is told of a finding, in this order, and under which word."""


SHOWN_IN = {
    "vanishing": ("flow", "ledger"), "exploding": ("flow", "ratios", "learning"),
    "update-ratio": ("ratios",), "unchanged-weight": ("ratios",), "symmetry": ("gradients",),
    "dead-relu": ("units", "activations"), "saturated": ("units", "activations"),
    "activation-scale": ("activations",), "loss-at-init": ("learning",), "loss-flat": ("learning",),
    "loss-oscillating": ("learning",), "loss-diverging": ("learning",), "overfit": ("learning",),
    "underfit": ("learning",), "held-out": ("confusion", "amounts-0"), "imbalance": ("confusion",),
    "batch-leak": (),
}  # fmt: skip
"""By rule, the charts where what it found can be seen; what batch-leak asks is on no chart."""


def _findings(
    findings: list[dict[str, Any]] | None, charts: dict[str, Chart | None]
) -> list[dict[str, Any]] | None:
    """As the template shows them, the worst first, with the charts that are on the page."""
    if findings is None:
        return None
    order = {"bad": 0, "warn": 1, "ok": 2}
    made = []
    for f in findings:
        level = LEVELS.get(str(f.get("severity")), "ok")
        shown = [(word, _words(f[k], to=k == "steps")) for k, word in TOLD.items()
                 if f.get(k) not in (None, [], {}, "")]  # fmt: skip
        seen = [charts.get(id) for id in SHOWN_IN.get(str(f.get("id")), ())]
        made.append({
            "level": level, "sign": SIGNS[level], "severity": str(f.get("severity", "finding")),
            "title": _titled(f),
            "facts": shown, "layers": _list(f.get("layers")),
            "fixes": [_fix(x) for x in _list(f.get("fixes"))], **_tried(f.get("tried") or []),
            "charts": [(c.id, c.title) for c in seen if c is not None],
        })  # fmt: skip
    return sorted(made, key=lambda f: order[f["level"]])


def _clicks(learning: Chart, findings: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """What is heard while the curve is played: (step, what is there)."""
    assert isinstance(learning.picture, Lines)
    found = list(learning.picture.panels[0].marks)
    for f in findings:
        steps = _list(f.get("steps"))
        if steps and finite(steps[0]) and LEVELS.get(str(f.get("severity"))):
            found.append((steps[0], _titled(f)))
    return sorted(found)


def _titled(f: dict[str, Any]) -> str:
    return str(f.get("title") or f.get("id", "finding")).replace("-", " ").capitalize()


def _list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def _fix(fix: Any) -> dict[str, str]:
    """What to try, in words and as a command."""
    if isinstance(fix, dict):
        return {k: str(fix.get(k) or "") for k in ("text", "command")}
    command = str(fix).startswith(("chainrule ", "--"))
    return {"text": "" if command else str(fix), "command": str(fix) if command else ""}


def _tried(held: list[dict[str, Any]]) -> dict[str, Any]:
    """What came of the fixes that were tried, and the command of the best."""
    trials = [Trial.from_json(t) for t in held]
    best = best_of(trials)
    return {"tried": [t.said for t in trials], "keep": best and best.command}


def _words(value: Any, to: bool = False) -> str:
    """Evidence and numbers in whatever form they come; to: a pair is a first and a last."""
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_words(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return (" to " if to and len(value) == 2 else ", ").join(_words(v) for v in value)
    return said(value)


# ---------------------------------------------------------------- example and graph


def _largest(s: Subject, heat: Chart | None, extra: dict[str, Any]) -> dict[str, Any]:
    """What the rows of the heat map lead to."""
    if heat is None or not isinstance(heat.picture, Heat):
        return {"largest": None}
    names = heat.picture.names
    found = largest(s, names)
    if isinstance(found, str):
        return {"largest": None, "no_largest": found}
    conventions, entries = found
    extra["largest"] = {e.layer: e.id for e in entries}
    left = len(names) - len(entries)
    more = f" Not worked here: {counted(left, 'more layer')} of the picture." if left else ""
    about = (f"For row {s.row_number} of the rows learned from, the one of the section One step, "
             f"and the weights that were kept: a click on a row of the picture, Enter on it, or a "
             f"link leads there.{more}")  # fmt: skip
    return {"largest": entries, "largest_about": about, "largest_conventions": conventions}


def _example(s: Subject, charts: dict[str, Chart | None], extra: dict[str, Any]) -> dict[str, Any]:
    """The worked row, and the graph of the same row."""
    values: dict[str, Any] = {"example": None, "no_example": s.no_model, "no_graph": s.no_model}
    if s.model is None or s.row is None:
        return values
    g = graph.graph_of(s.model, s.loss, s.row, s.label)
    classes = len(s.held.names) if s.held is not None else s.label + 1
    found = worked.worked(s.model, s.row, s.label, classes, s.smoothing, s.rate)
    if isinstance(found, str):
        values["no_example"] = found
    else:
        d, network = found
        values["example"] = {**worked.as_page(d), "about": _about(s), "picture": _image(s, s.row)}
        if not isinstance(g, str):
            linear = [n for n, m in s.model.named_modules() if isinstance(m, nn.Linear)]
            graph.unfold(g, network, linear)
    if isinstance(g, str):
        return values | {"no_graph": g}
    charts["graph"] = graph.table(g)
    extra["graph"] = g.as_data()
    still = graph.modules_svg(g) + (graph.units_svg(g) if g.units else "")
    inner = ('<div id="graph-still" class="still">' + still + "</div>"
             '<div class="tools" hidden><button type="button" id="graph-all" aria-pressed="false">'
             "Unfold every layer</button></div>"
             '<div id="graph-live" class="scroll" tabindex="0" role="region" '
             'aria-label="The graph, with layers that unfold" hidden></div>'
             '<p class="said" id="graph-said" aria-live="polite"></p>')  # fmt: skip
    return values | {"graph_inner": Markup(inner), "tree": graph.tree(s.model, g)}


def _about(s: Subject) -> str:
    names = s.held.names if s.held is not None else ()
    label = names[s.label] if s.label < len(names) else str(s.label)
    return (f"Row {s.row_number} of the rows learned from, class {label}, through the weights that "
            f"were kept: of the first rows it is the one with the highest loss. The step is "
            f"one of plain gradient descent with the learning rate {s.rate:g} on this row alone."
            )  # fmt: skip


def _image(s: Subject, row: Any) -> Markup | None:
    if s.image is None:
        return None
    return Markup(results.image_svg(np.asarray(row).reshape(s.image), "the row as a picture"))


# ---------------------------------------------------------------- results


def _results(s: Subject, charts: dict[str, Chart | None]) -> dict[str, Any]:
    values: dict[str, Any] = {"confusion_inner": "", "worst": [], "no_why": None, "no_results": (
        "No held-out rows." if s.model is not None or s.of_table else
        f"No results: {s.no_model}.")}  # fmt: skip
    h, given = s.held, s.held or s.labels
    if given is not None and not np.isfinite(given.p).all():
        return values | {"no_results": "The model gives no finite number for some held-out rows."}
    if s.labels is not None:
        charts["labels"] = labels.table(s.labels)
        return values | {"worst": labels.worst(s.labels)}
    if h is None:
        return values
    charts["confusion"], cells = results.confusion(h)
    charts["calibration"] = results.calibration(h)
    layers = s.no_model if s.model is None else worked.layers_of(s.model)
    worst = [_worst(s, h, i, layers) for i in results.worst(h)]
    return values | {
        "confusion_inner": _confusion(h, cells), "worst": worst,
        "no_why": layers if isinstance(layers, str) and not s.of_table else None,
    }  # fmt: skip


def _worst(s: Subject, h: results.Held, i: int, layers: Any) -> dict[str, Any]:
    true, predicted = int(h.true[i]), int(h.predicted[i])
    values = np.asarray(h.x[i]).reshape(-1)
    why = "" if isinstance(layers, str) else "\n".join(
        worked.short(layers, h.x[i], true, predicted, s.smoothing))  # fmt: skip
    inputs = ", ".join(f"{v:g}" for v in values[:8].tolist()) + (", …" if len(values) > 8 else "")
    inputs = f"inputs {inputs}" if h.told is None else h.told[i]
    return {
        "row": i, "true": h.names[true], "predicted": h.names[predicted],
        "right": true == predicted, "given": said(float(h.p[i, true])),
        "loss": said(float(h.losses[i])), "picture": _image(s, h.x[i]),
        "inputs": None if s.image else inputs, "why": why,
    }  # fmt: skip


def _amounts(s: Subject, charts: dict[str, Chart | None]) -> list[str]:
    """The charts of each amount that is predicted, by their ids; of several a table before them."""
    if len(s.amounts) > 1:
        charts["targets"] = amounts.table(s.amounts)
    for i, a in enumerate(shown := s.amounts[: amounts.MOST]):
        charts[f"amounts-{i}"] = amounts.against(a, f"amounts-{i}")
        charts[f"errors-{i}"] = amounts.spread(a, f"errors-{i}")
    made = [f"{kind}-{i}" for i in range(len(shown)) for kind in ("amounts", "errors")]
    return ["targets", *made] if len(s.amounts) > 1 else made


CONFUSION = """\
<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix"><table>
<caption>Rows: true class; columns: predicted class; the frame marks what is right</caption>
<thead><tr><th scope="col" class="words">true</th>{% for n in names %}<th scope="col">{{ n }}</th>\
{% endfor %}</tr></thead><tbody>
{% for name, row in rows %}<tr><th scope="row" class="words">{{ name }}</th>{% for c in row %}\
<td class="cell s{{ c.shade }}{{ ' right' if c.right }}">{{ c.count }}<small>{{ c.words }}</small>\
</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
"""


def _confusion(h: results.Held, cells: list[list[results.Cell]]) -> Markup:
    made = jinja2.Environment(autoescape=True).from_string(CONFUSION)
    rows = list(zip(h.names, cells, strict=True))
    return Markup(made.render(names=h.names, rows=rows))


def _boundary(s: Subject, extra: dict[str, Any]) -> tuple[Chart, list[Markup]]:
    """The boundary over training: four still pictures, and everything for the slider."""
    assert s.frames is not None
    assert s.held is not None
    frames, x = s.frames["frames"], np.asarray(s.held.x)
    extra["boundary"] = {
        "low": s.frames["low"], "high": s.frames["high"], "side": s.frames["side"],
        "frames": frames, "levels": boundary.LEVELS, "colours": boundary.COLOURS,
        "shapes": [f"M{dx} {dy}{rest}" for dx, dy, rest in boundary.SHAPES],
        "points": [[round(float(x[i, 0]), 4), round(float(x[i, 1]), 4), int(s.held.true[i])]
                   for i in boundary.some_of(len(x))],
    }  # fmt: skip
    stills = [
        Markup(boundary.still(s.frames, k, x, s.held.true)) for k in boundary.some_frames(frames)
    ]
    return boundary.chart(s.frames), stills
