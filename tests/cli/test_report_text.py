"""`chainrule report RUN --text`: every chart on the terminal, in any width, and as sentences."""

from __future__ import annotations

import math

import pytest
from cli_cases import refused

from chainrule.cli.terminal import ASCII, UNICODE, Terminal, text_of
from chainrule.cli.view.charts import NAMES, chart_lines
from chainrule.report import flow, inside, results
from chainrule.report.build import charts_of
from chainrule.report.charts import Heat, Histograms, Lines
from chainrule.train import Run
from report_cases import as_looks, full_subject, healthy_looks, held_out, layer, look


def drawn(chart, **terminal):
    return [text_of(line) for line in chart_lines(chart, Terminal(**terminal))]


@pytest.mark.parametrize("width", [20, 40, 80, 120])
@pytest.mark.parametrize("signs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_every_chart_fits_and_says_its_title(tmp_path, width, signs):
    charts = [c for c in charts_of(full_subject(tmp_path)).values() if c is not None]
    charts += [results.calibration(held_out()), results.confusion(held_out())[0]]
    assert {type(c.picture) for c in charts} == {Lines, Heat, Histograms, type(None)}
    for chart in charts:
        lines = drawn(chart, width=width, signs=signs)
        assert max(map(len, lines)) <= width
        assert " ".join(lines).startswith(chart.title[:10])
        told = "\n".join(drawn(chart, plain=True))
        assert chart.title in told
        assert chart.here in told
        assert not set(UNICODE.spark + "░▒▓") & set(told)


def test_a_shade_is_a_power_of_ten(tmp_path):
    sizes = {"a": 2e-1, "b": 2e-2, "c": 2e-3, "d": 2e-4, "e": 2e-5, "f": 0.0, "g": math.nan,
             "h": None}  # fmt: skip
    looks = [look(s, [layer(n, grad=g) for n, g in sizes.items()]) for s in range(3)]
    chart = flow.gradient_flow(as_looks(tmp_path, looks))
    lines = {line[0]: line[NAMES + 1 : NAMES + 2] for line in drawn(chart)[1 : 1 + len(sizes)]}
    assert [lines[n] for n in "abcdefgh"] == ["█", "▓", "▒", "░", " ", "0", "✖", "?"]
    legend = " ".join(" ".join(drawn(chart)).split())
    assert "█ 1e-1, ▓ 1e-2, ▒ 1e-3, ░ 1e-4 and up; blank below" in legend


def test_a_ratio_of_0_is_a_0_and_not_a_gap(tmp_path):
    sizes = {1: 0.0, 21: 1e-9, 41: 1e-9, 61: 1e-9, 101: None}
    looks = [look(s, [layer("fc1", ratio=r)]) for s, r in sizes.items()]
    row = drawn(flow.update_ratios(as_looks(tmp_path, looks)))[2]
    assert row.startswith("fc1")
    assert list(dict.fromkeys(row[NAMES + 1 :].split()[0])) == ["0", UNICODE.spark[0], "?"]


def test_dead_units_stand_by_name(tmp_path):
    looks = [look(s, [layer("fc1", dead=0.2, dead_units=[3, *range(10, 30)])]) for s in (0, 5)]
    told = " ".join(drawn(inside.units(as_looks(tmp_path, looks))))
    assert "3 (since step 0), 10 (since step 0)" in told


def test_many_layers_are_counted(tmp_path):
    names = [f"a.very.long.name.of.layer{i}" for i in range(60)]
    chart = flow.gradient_flow(as_looks(tmp_path, healthy_looks(names=names)))
    assert "and 36 more" in drawn(chart)


def test_a_run_on_the_terminal(chainrule, xor_run, tmp_path):
    before = sorted(p.name for p in (tmp_path / "runs" / xor_run).iterdir())
    result = chainrule("report", xor_run, "--text")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    for words in ("learning rate", "|gradient|: ", "step was looked at", "gain  weights  slope",
                  "The activations of", "chainrule explain xor-0001 --weight fc1"):  # fmt: skip
        assert words in result.stdout
    plain = chainrule("report", xor_run, "--plain").stdout
    assert "At the last look: fc1" in plain
    assert "|gradient|:" not in plain
    assert sorted(p.name for p in (tmp_path / "runs" / xor_run).iterdir()) == before
    said = refused(chainrule("report", xor_run, "--text", "-o", "x.html"))
    assert "writes no file" in said
    (Run(tmp_path / "runs" / xor_run).path / "layers.jsonl").unlink()
    assert "nobody looked inside" in " ".join(chainrule("report", "xor", "--text").output.split())
