"""Charts: what they say, and that picture, specification and table say the same."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as tree
from itertools import pairwise

import numpy as np
import pytest

from chainrule.errors import FormatError
from chainrule.report import compare, flow, inside, results
from chainrule.report.charts import Chart, Lines, said
from chainrule.report.learning import learning
from chainrule.report.looks import read_looks
from chainrule.report.page import table_rows
from chainrule.report.svg import Scale, apart, draw, y_scale
from chainrule.report.vega import data_of, specification
from chainrule.train.metrics import METRICS, calibration_error
from report_cases import as_looks, full_subject, healthy_looks, held_out, layer, look, rows


def charts(folder):
    looks = as_looks(folder, healthy_looks())
    held = held_out()
    return {
        "learning": learning(rows(60)), "flow": flow.gradient_flow(looks),
        "ratios": flow.update_ratios(looks), "ledger": flow.ledger(looks),
        "activations": inside.histograms(looks, "activations"),
        "gradients": inside.histograms(looks, "gradients"), "units": inside.units(looks),
        "calibration": results.calibration(held), "confusion": results.confusion(held)[0],
    }  # fmt: skip


def test_every_chart_has_words_a_table_and_two_drawings(tmp_path):
    for name, chart in charts(tmp_path).items():
        assert isinstance(chart, Chart)
        assert chart.id == name
        for words in (chart.title, chart.summary, chart.shows, chart.healthy, chart.here):
            assert words.strip(), f"{name} is silent"
        assert chart.rows
        assert {len(row) for row in chart.rows} == {len(chart.columns)}
        if chart.picture is None:
            continue
        drawing = tree.fromstring(draw(chart.picture, chart.title))
        assert drawing.get("role") == "img"
        assert drawing.find("{http://www.w3.org/2000/svg}title").text == chart.title
        assert "NaN" not in draw(chart.picture, "x")
        spec = specification(chart.picture)
        assert spec["data"] == {"name": "table"}, "the page hands the data over"
        assert "url" not in str(spec).replace(spec["$schema"], "")
        assert data_of(chart)["kind"] in ("lines", "heat", "histograms")


def test_the_page_is_given_the_numbers_of_the_picture():
    chart = learning(rows(60, val_loss=lambda e: 1 / e if e != 7 else math.nan))
    assert isinstance(chart.picture, Lines)
    drawn = [s for p in chart.picture.panels for s in p.series]
    given = data_of(chart)["series"]
    for s, g in zip(drawn, given, strict=True):
        for mine, theirs in ((s.x, g["x"]), (s.y, g["y"])):
            if isinstance(theirs, int):
                theirs = [row[theirs] for row in chart.rows]
            for a, b in zip(mine, theirs, strict=True):
                lost = a is None or not math.isfinite(a)
                assert (b is None or b != b) if lost else math.isclose(a, b, rel_tol=1e-5)


@pytest.mark.parametrize(("loss", "title"), [
    (lambda e: math.nan if e > 4 else 1 / e, "not finite from epoch 5"),
    (lambda e: 1 / e, "stops improving at epoch 8"),
])  # fmt: skip
def test_the_title_is_what_to_take_away(loss, title):
    assert title in learning(rows(12, loss=loss)).title


@pytest.mark.parametrize(("first", "later", "log"), [
    (50.0, 0.2, True), (2.0, 0.05, False), (1e-9, 1e-3, True), (50.0, 0.0, False),
    (50.0, -1.0, False), (math.nan, 1.0, False), (math.inf, 1.0, False), (None, 1.0, False),
])  # fmt: skip
def test_a_huge_first_loss_does_not_flatten_the_rest(first, later, log):
    chart = learning(rows(12, loss=lambda e: first if e == 1 else later, val_loss=None))
    panel = chart.picture.panels[0]
    assert panel.log == log
    assert not any(p.log for p in chart.picture.panels[1:]), "the loss alone"
    assert panel.y_title == ("loss (log scale)" if log else "loss")
    assert ("logarithmic scale" in chart.shows) == log
    (lines, _) = specification(chart.picture)["vconcat"][0]["layer"]
    assert (lines["encoding"]["y"]["scale"].get("type") == "log") == log
    assert panel.y_title in draw(chart.picture, chart.title)
    y = y_scale(panel, 0.0, 200.0)
    known = [v for s in panel.series for v in s.y if v is not None and math.isfinite(v)]
    if log:
        assert {y(min(known)), y(max(known))} == {0.0, 200.0}, "all of the height is used"


def test_the_words_of_a_mark_are_never_crossed_by_a_low_panels_curve():
    """A learning rate goes over the whole height of its panel: what is said stands above it."""
    lr = [0.0, 0.02, 0.04, 0.03, 0.01, 0.0]
    held = [{"epoch": e, "step": e, "loss": 1 / e, "lr": v} for e, v in enumerate(lr, 1)]
    chart = learning(held)
    panel = chart.picture.panels[-1]
    ((_, words),) = panel.marks
    assert words.startswith("warm-up ends")
    drawn = tree.fromstring(draw(chart.picture, "x"))
    (at,) = [float(e.get("y")) for e in drawn.iter() if e.text == words]
    marked = [e.get("d") for e in drawn.iter() if e.get("class") == "mark"]
    assert at < float(re.split("[ V]", marked[-1])[1])
    said_above = json.dumps(specification(chart.picture))
    assert '"baseline": "bottom"' in said_above


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_best_in_its_direction_and_of_equal_epochs_in_the_last(name):
    """As a table's fit keeps it, whose log holds one metric and no validation loss."""
    course = [0.5, 0.25, 0.75, 0.25, 0.75, 0.5]
    held = [{"epoch": e, "step": 10 * e, "loss": 1 / e, f"val_{name}": v}
            for e, v in enumerate(course, 1)]  # fmt: skip
    chart = learning(held)
    best, word = (5, "highest") if METRICS[name].higher_is_better else (4, "lowest")
    called = f"Validation {name.replace('_', ' ')}"
    assert f"{called} is best at epoch {best} of 6: 0.{75 if best == 5 else 25}." in chart.here
    assert re.search(rf"{called}: .*{word} 0.[27]5 at epoch {best},", chart.summary)


def test_a_drop_of_the_learning_rate_is_marked_with_its_effect():
    steps = rows(12, lr=lambda e: 0.1 if e < 6 else 0.01, loss=lambda e: 1.0 if e < 6 else 0.5)
    chart = learning(steps)
    assert chart.picture.panels[-1].marks == [(60, "\u00d7 0.1, loss -50 %")]
    assert "At step 60 the learning rate is multiplied by 0.1: the loss fell by 50 %." in chart.here
    smooth = rows(40, lr=lambda e: 0.1 * math.cos(e / 40 * math.pi / 2))
    assert learning(smooth).picture.panels[-1].marks == [], "a slope is no step"
    waves = rows(80, lr=lambda e: 0.1 * (1.001 - math.cos(math.tau * e / 20)) * (1 + e / 80))
    chart = learning(waves)
    assert chart.picture.panels[-1].marks == [], "a trough is no step, a later crest no warm-up"
    warm = rows(12, lr=lambda e: min(e, 4) / 100)
    chart = learning(warm)
    assert chart.picture.panels[-1].marks == [(40, "warm-up ends, loss 1 to 0.25")]
    assert "warm-up of the learning rate ends at step 40, loss 1 to 0.25." in chart.here


def test_few_looks_are_counted_and_the_worst_layer_comes_first(tmp_path):
    looks = [look(1, [layer("fc1", ratio=2e-3), layer("out", ratio=5e-3)]),
             look(21, [layer("fc1", ratio=2e-2), layer("out", ratio=5e-2)]),
             look(126, [layer("fc1"), layer("out")])]  # fmt: skip
    chart = flow.update_ratios(as_looks(tmp_path, looks))
    assert chart.title == "out is outside the usual pace at 1 of 2 looks"
    assert "out, fc1: outside at 1 of 2 looks. Only 2 steps were looked at: " in chart.here
    many = [look(s, [layer("fc1", ratio=2e-3 if s < 15 else 1.0)]) for s in range(20)]
    chart = flow.update_ratios(as_looks(tmp_path, many))
    assert chart.title == "fc1 is outside the usual pace at 25 % of the looks"
    assert "Only" not in chart.here
    assert chart.picture is not None


def test_hardly_a_step_makes_no_line_and_a_step_with_lr_0_has_no_pace(tmp_path):
    looks = [look(1, [layer("fc1", ratio=0.0)], lr=0.0),
             *(look(20 * i, [layer("fc1", ratio=1e-3)]) for i in range(1, 5))]  # fmt: skip
    for count in range(1, len(looks) + 1):
        chart = flow.update_ratios(as_looks(tmp_path, looks[:count]))
        assert "outside the usual pace" not in chart.title
        assert (chart.picture is None) is (count < 5)
        assert chart.rows[0] == [1, None]
    assert chart.title == "Every layer changes at a usual pace"


def test_a_look_without_the_probe_does_not_hide_what_the_one_before_saw(tmp_path):
    seen = {"gain": 0.5, "weights": 1.0, "slope": 0.5, "saturated": 0.25, "activation": "Tanh"}
    probed = look(1, [layer("fc1", **seen), layer("out")])
    brief = look(21, [layer("fc1", grad=0.1), layer("out", grad=0.1)])
    looks = as_looks(tmp_path, [probed, brief])
    assert flow.ledger(looks).title == "fc1 multiplies the error that reaches it by 0.5"
    assert "step 1" in flow.ledger(looks).here
    units = inside.units(looks)
    assert (units.title, units.here) == ("No layer is saturated",
                                         "No layer is saturated at step 1.")  # fmt: skip


def test_what_was_not_computed_is_not_0(tmp_path):
    looks = as_looks(tmp_path, [look(0, [layer("fc1", grad=0.1), layer("out", grad=0.0)])])
    assert inside.units(looks) is None
    for chart in (flow.update_ratios(looks), flow.ledger(looks)):
        assert "not computed" in chart.summary + chart.here + chart.title
        values = [v for row in chart.rows for v in row[1:]]
        assert None in values
        assert not any(v == 0 for v in values if not isinstance(v, str))
    assert inside.histograms(looks, "activations") is None
    heat = flow.gradient_flow(looks).picture
    assert [v for row in heat.values for v in row].count(-math.inf) == 1, "a gradient that is 0"


@pytest.mark.parametrize(("gradients", "title"), [
    ((1e-7, 1e-2), "vanishes on its way to fc1"), ((5.0, 1e-4), "grows on its way to fc1"),
    ((math.nan, 1e-2), "of fc1 is not finite"), ((1e-2, 2e-2), "reaches every layer"),
    ((0.0, 1e-2), "gradient of fc1 is 0"), ((0.0, 0.0), "gradient of every layer is 0"),
    ((0.0, math.inf), "of out is not finite"),
])  # fmt: skip
def test_the_flow_names_the_layer(tmp_path, gradients, title):
    pair = [layer(n, grad=g) for n, g in zip(("fc1", "out"), gradients, strict=True)]
    chart = flow.gradient_flow(as_looks(tmp_path, [look(s, pair) for s in range(3)]))
    assert title in chart.title
    draw(chart.picture, "x")


def test_a_gradient_of_0_is_said_and_drawn_as_0(tmp_path):
    begun = [look(1, [layer("fc1", grad=0.1), layer("out", grad=0.2)])]
    gone = [look(s, [layer("fc1", grad=0.0), layer("out", grad=0.0)]) for s in (21, 101)]
    chart = flow.gradient_flow(as_looks(tmp_path, begun + gone))
    assert "fc1 0, out 0" in chart.summary
    assert "fc1 since step 21" in chart.here
    assert "reaches every layer" not in chart.title
    picture = draw(chart.picture, "x")
    assert "exactly 0" in picture
    assert "not finite" not in picture
    assert picture.count('class="none zero"') == 1, "one path of all such cells"
    assert specification(chart.picture)["layer"][0]["encoding"]["color"]["legend"] is not None
    nothing = flow.gradient_flow(as_looks(tmp_path, gone)).picture
    assert "1e-1" not in draw(nothing, "x"), "no scale where there is nothing to scale"
    assert specification(nothing)["layer"][0]["encoding"]["color"]["legend"] is None


@pytest.mark.parametrize(("weights", "slope", "guilty"), [
    (0.9, 0.2, "slope"), (0.2, 0.9, "weights"), (5.0, 0.8, "weights"), (0.9, 3.0, "slope"),
])  # fmt: skip
def test_the_ledger_blames_the_multiplier_that_is_off(tmp_path, weights, slope, guilty):
    layers = [layer("fc1", gain=weights * slope, weights=weights, slope=slope),
              layer("fc2", gain=1.1, weights=1.1, slope=1.0), layer("out")]  # fmt: skip
    chart = flow.ledger(as_looks(tmp_path, [look(7, layers)]))
    assert chart.title.startswith("fc1 multiplies")
    assert f"multiplier is its {guilty}" in chart.here


def test_of_many_looks_the_unusual_one_is_shown(tmp_path):
    looks = [look(s, [layer("fc1", grad=1e-2 if s != 501 else 10.0)]) for s in range(1000)]
    heat = flow.gradient_flow(as_looks(tmp_path, looks)).picture
    assert len(heat.x) <= 120
    assert max(heat.values[0]) == 1.0


def test_dead_units_are_named_with_their_first_step(tmp_path):
    dead = {0: [4], 1: [4], 2: [], 3: [4], 4: [4, 1]}
    looks = [look(s, [layer("fc1", dead=0.1, dead_units=u)]) for s, u in dead.items()]
    assert (
        inside.units(as_looks(tmp_path, looks)).rows[0][-1] == "4 (since step 3), 1 (since step 4)"
    )


@pytest.mark.parametrize("line", [
    "[]", '{"step": 1}', '{"step": 1, "layers": [{"kind": "x"}]}',
    '{"step": 1, "layers": [{"name": "a", "grad": "many"}]}', "{",
])  # fmt: skip
def test_a_damaged_look_is_named_by_its_line(tmp_path, line):
    path = tmp_path / "layers.jsonl"
    path.write_text(json.dumps(look(0, [])) + "\n" + line + "\n")
    with pytest.raises(FormatError, match=r"layers\.jsonl:2"):
        read_looks(path)


def test_a_look_that_was_cut_off_is_left_out(tmp_path):
    (tmp_path / "layers.jsonl").write_text(json.dumps(look(0, [])) + '\n{"step": 5, "lay')
    assert [x.step for x in read_looks(tmp_path / "layers.jsonl")] == [0]
    assert read_looks(tmp_path / "none.jsonl") is None


def test_ticks_lie_within_and_are_several():
    rng = np.random.default_rng(0)
    for log in (False, True):
        for _ in range(200):
            low = float(10 ** rng.uniform(-9, 6))
            s = Scale(low, low * float(10 ** rng.uniform(0.01, 9)), 0, 100, log)
            ticks = s.ticks()
            assert len(ticks) >= 2
            assert all(-1e-6 <= s(t) <= 100 + 1e-6 for t in ticks)
            assert s.low * (1 - 1e-9) <= ticks[0]


def test_labels_do_not_lie_on_each_other():
    moved = apart([10.0, 11.0, 12.0, 90.0], 15, 0, 100)
    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(moved))
    assert moved[-1] <= 100


def test_a_long_table_keeps_its_peaks():
    values = [[i, i, 5.0 if i == 777 else 0.0] for i in range(2000)]
    found = table_rows(Chart("x", "x", "", "", "", "", ["step", "epoch", "y"], values))
    assert [777, 777, 5.0] in found["rows"]
    assert found["total"] == 2000
    assert found["left"] == 2000 - len(found["rows"]) > 1000


def test_counts_of_the_matrix_are_those_of_the_rows():
    held = held_out()
    chart, cells = results.confusion(held)
    assert sum(c.count for row in cells for c in row) == len(held.true)
    assert sum(cells[i][i].count for i in range(len(cells))) == held.right
    for row in cells:
        assert abs(sum(c.share or 0.0 for c in row) - any(c.count for c in row)) < 1e-12
    losses = held.losses[results.worst(held)]
    assert list(losses) == sorted(held.losses, reverse=True)[: results.WORST]
    counted = sum(int(r[1]) for r in results.calibration(held).rows)
    assert counted == len(held.true)
    assert str(held.right) in chart.title


def test_calibration_is_that_of_the_metric():
    held = held_out(count=200)
    chart = results.calibration(held)
    error = calibration_error(np.log(held.p), held.true)
    assert f"expected calibration error {said(error, 3)}." in chart.summary
    sure = held.p.max(1)
    for k, (_, n, mean, hit) in enumerate(chart.rows):
        inside = (sure >= k / 10) & ((sure < (k + 1) / 10) | (k == 9))
        assert n == inside.sum()
        if n:
            right = (held.predicted == held.true)[inside]
            assert (mean, hit) == pytest.approx((sure[inside].mean(), right.mean()))


def test_numbers_for_readers():
    assert said(None) == "not computed"
    assert said(0.000123456) == "0.0001235"
    assert said(math.nan) == "nan"
    assert re.fullmatch(r"23\D714", said(23713.6))


def test_a_gain_without_its_two_multipliers_blames_neither(tmp_path):
    looks = [look(1, [layer("numeric", gain=7.5), layer("fc", gain=1.1, weights=1.0, slope=1.1)])]
    chart = flow.ledger(as_looks(tmp_path, looks))
    assert chart.here == (
        "At step 1 numeric is farthest from 1; its weights and slope were not told apart."
    )


def test_the_closing_look_is_after_the_last_step(tmp_path):
    parts = healthy_looks(steps=10)
    parts.append({**look(11, parts[-1]["layers"]), "loss": None})
    held = as_looks(tmp_path, parts)
    for chart in (flow.ledger(held), inside.units(held), inside.histograms(held, "gradients")):
        assert "fter the last step" in chart.summary
        assert "step 11" not in f"{chart.summary} {chart.here} {chart.title}"
    assert [p.column for p in inside.histograms(held, "gradients").picture.parts][-1] == (
        "end, after the last step"
    )
    assert [row[0] for row in flow.update_ratios(held).rows] == [0, 2, 4, 6, 8]
    s = full_subject(tmp_path, looks=held)
    assert "to the end, after the last step" in compare.parting(s, s)


def test_the_layer_that_differs_most_stands_on_top_though_all_gradients_fall(tmp_path):
    sizes = {"numeric": 20.0, "linear.0": 1.0, "linear.1": 2.0, "linear.2": 3.0, "linear.3": 3.5}
    looks = [look(s, [layer(n, grad=v * 0.2**k) for n, v in sizes.items()])
             for k, s in enumerate((1, 21, 101, 201, 256))]  # fmt: skip
    assert flow.gradient_flow(as_looks(tmp_path, looks)).picture.names[0] == "numeric"


def test_units_that_nobody_counted_have_no_chart(tmp_path):
    assert inside.units(as_looks(tmp_path, [look(1, [layer("numeric"), layer("out")])])) is None


@pytest.mark.parametrize(("columns", "said_of"), [
    ({}, (" what else was measured", "The loss falls and then levels off;")),
    ({"val_rmse": True}, ("measured on rows held back", "The loss falls, and what was measured")),
    ({"val_loss": True}, ("(dashed)", "Both losses fall")),
])  # fmt: skip
def test_a_learning_curve_speaks_of_the_lines_that_it_has(columns, said_of):
    given = [{k: v for k, v in r.items() if not k.startswith("val_")} for r in rows(6)]
    given = [{**r, **dict.fromkeys(columns, 1.0 / (i + 1))} for i, r in enumerate(given)]
    chart = learning(given)
    assert said_of[0] in chart.shows
    assert chart.healthy.startswith(said_of[1].strip())
    assert ("dashed" in chart.shows) == ("val_loss" in columns)


@pytest.mark.parametrize("values", [[1.0] * 3, [0.0] * 3, [0.5] * 3, [0.2, 0.99, 1.0], [0.9, 0.95]])
def test_the_axis_of_a_share_ends_at_1_and_starts_at_0_or_above(values):
    given = [{"epoch": i, "step": i, "loss": 1.0 / i, "val_accuracy": v, "val_rmse": v}
             for i, v in enumerate(values, 1)]  # fmt: skip
    picture = learning(given).picture
    _, share, other = picture.panels[:3]
    assert share.share
    assert not other.share
    scale = y_scale(share, 0.0, 100.0)
    assert 0 <= scale.low < scale.high <= 1
    assert scale.low <= min(values) <= max(values) <= scale.high
    y = specification(picture)["vconcat"][1]["layer"][0]["encoding"]["y"]
    assert y["scale"]["domain"] == pytest.approx([scale.low, scale.high], abs=1e-3)


def test_a_metric_in_per_cent_is_no_share():
    given = [{"epoch": i, "step": i, "loss": 1.0, "val_acc": 90.0 + i} for i in (1, 2)]
    assert not learning(given).picture.panels[1].share


@pytest.mark.parametrize("name", METRICS)
def test_metrics_that_are_shares_lie_from_0_to_1(name):
    metric = METRICS[name]() if name != "top_k" else METRICS[name](1)
    predicted, true = np.array([[9.0, 1.0], [8.0, 0.5], [0.1, 7.0]]), np.array([1, 0, 0])
    if name in ("mae", "mse", "rmse", "r2"):
        predicted, true = predicted[:, 0], 1.0 + true
    metric.update(predicted, true)
    if name != "confusion_matrix":
        assert metric.share == (0 <= metric.compute() <= 1)
