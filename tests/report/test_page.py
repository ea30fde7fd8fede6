"""The whole page: well-formed, self-contained, inert, and honest about what is missing."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from chainrule.diagnosis import RULES
from chainrule.errors import FormatError
from chainrule.report import assets, compare
from chainrule.report.build import CHARTS, SHOWN_IN, UNDIAGNOSED, _findings, build
from chainrule.report.charts import Chart
from chainrule.report.results import Held
from chainrule.report.subject import Subject, verdict_of
from report_cases import HOSTILE, as_looks, full_subject, healthy_looks, layer, look, rows

VOID = {"meta", "input", "br", "img", "link", "hr", "col"}


class Page(HTMLParser):
    """What a browser would find: elements in order, properly nested."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.scripts, self.words = [], [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        names = [k for k, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        opened = self.open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    def values(self, name):
        return [a[name] for _, a in self.elements if a.get(name)]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def scripts_of(text):
    """What may run: the page's own scripts, and those that lie packed in it."""
    packed = re.findall(r'<script type="application/gzip">(.*?)</script>', text, re.DOTALL)
    own = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    return own + [gzip.decompress(base64.b64decode(p, validate=True)).decode() for p in packed]


def data_of(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture(autouse=True)
def light(request, monkeypatch):
    """The scripts of others are left out: they take most of the time, and are tested apart."""
    if "whole" not in request.fixturenames and "taken_in" not in request.node.name:
        monkeypatch.setattr(assets, "vendored", lambda name: f"/* {name} */")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    finding = {"id": "vanishing-gradient", "severity": "error", "layers": ["fc1"], "steps": [0, 20],
               "evidence": {"grad": 1e-9}, "cause": "slope 0.2",
               "fixes": ["--activation relu"]}  # fmt: skip
    return build(full_subject(tmp_path_factory.mktemp("run"), findings=[finding]))


@pytest.fixture(scope="module")
def page(whole):
    return Page(whole)


def test_a_page_is_well_formed_and_its_references_lead_somewhere(whole, page):
    ids = page.values("id")
    assert len(ids) == len(set(ids)), "an id stands twice"
    for name in ("aria-labelledby", "aria-details", "for"):
        assert set(page.values(name)) <= set(ids), name
    assert {h[1:] for h in page.values("href")} <= set(ids)
    headings = [int(t[1]) for t, _ in page.elements if re.fullmatch(r"h[1-6]", t)]
    assert headings[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(headings)), "a level is skipped"
    tags = [t for t, _ in page.elements]
    assert tags.count("main") == tags.count("header") == tags.count("nav") == 1
    assert dict(page.elements)["html"]["lang"] == "en"


def test_every_section_is_there_in_order(whole, page):
    found = [a["id"] for t, a in page.elements if t == "section"]
    assert found == ["verdict", "run", "findings", "learning", "flow", "inside", "example",
                     "optimizer", "graph", "results", "reading", "numbers"]  # fmt: skip
    charts = [a["id"] for t, a in page.elements if t == "figure"]
    assert len(charts) == 10
    assert whole.count("Healthy looks like") == len(charts)


def test_nothing_is_asked_of_anyone(whole, page):
    assert not page.values("src")
    assert "@import" not in whole.split("</style>")[0]
    assert not re.search(r"url\((?!#)", whole.split("</style>")[0])
    assert "default-src 'none'" in page.values("content")[1]


def test_the_policy_names_the_scripts_of_the_page_and_no_others(whole, page):
    policy = page.values("content")[1]
    bodies = scripts_of(whole)
    assert [assets.vendored(name) in bodies for name in assets.checksums()] == [True] * 4
    hashes = {base64.b64encode(hashlib.sha256(b.encode()).digest()).decode() for b in bodies}
    assert set(re.findall(r"sha256-([^']+)", policy)) == hashes
    assert len(hashes) >= 5
    assert "unsafe-inline" not in policy.split("style-src")[0]


def test_the_findings_open_the_page(whole, page):
    text = page.text
    assert "Look here" in text
    assert "Vanishing gradient" in text
    assert "--activation relu" in text
    assert "\u2716" in text


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_leads_to_the_charts_where_it_can_be_seen(rule):
    charts = {
        id: Chart(id, f"takes {id} in", "", "", "", "", [], []) for id in (*CHARTS, "amounts-0")
    }
    (found,) = _findings([{"id": rule, "severity": "error"}], charts)
    assert [id for id, _ in found["charts"]] == list(SHOWN_IN[rule])
    assert [title for _, title in found["charts"]] == [f"takes {id} in" for id in SHOWN_IN[rule]]
    (found,) = _findings([{"id": rule}], dict.fromkeys(CHARTS))
    assert not found["charts"], "a chart that is not on the page"


def test_the_evidence_of_a_finding_is_a_click_away(tmp_path):
    page = Page(build(full_subject(tmp_path, findings=[{"id": "vanishing", "severity": "error"}])))
    assert {"#chart-flow", "#chart-ledger"} <= set(page.values("href"))
    assert {"chart-flow", "chart-ledger"} <= set(page.values("id"))
    assert "seen in" in page.text


def test_the_curve_has_a_click_at_the_best_epoch_and_where_each_finding_begins(tmp_path):
    findings = [{"id": "loss-flat", "severity": "warning", "steps": [30, 60]},
                {"id": "overfit", "severity": "error", "steps": [90, 120]},
                {"id": "told", "severity": "note", "steps": [5, 6]},
                {"id": "imbalance", "severity": "warning", "steps": None}]  # fmt: skip
    text = build(full_subject(tmp_path, findings=findings))
    assert data_of(text)["clicks"] == [[30, "Loss flat"], [80, "best, epoch 8"], [90, "Overfit"]]
    assert "clicks" not in data_of(build(full_subject(tmp_path, rows=[])))


@pytest.mark.parametrize("fix", [
    {"text": "a smaller rate", "changes": {"lr": 0.1}, "command": "chainrule train x --lr 0.1"},
    "chainrule train x --lr 0.1",
    {"text": "chainrule train x --lr 0.1", "changes": {}},
])  # fmt: skip
def test_findings_come_in_several_forms(tmp_path, fix):
    finding = {"id": "exploding", "severity": "note", "title": "Exploding gradient",
               "layers": ["fc1", "fc2"], "steps": [20, 40], "evidence": "a norm of 1e9",
               "numbers": {"grad": "inf", "times_the_median": 812.0}, "cause": "weights above 1",
               "multiplier": "weights", "fixes": [fix]}  # fmt: skip
    words = Page(build(full_subject(tmp_path, findings=[finding]))).text
    for said in ("Exploding gradient", "fc1, fc2", "20 to 40", "a norm of 1e9", "grad inf",
                 "times the median 812", "weights above 1",
                 "chainrule train x --lr 0.1"):  # fmt: skip
        assert said in words


def test_everything_hostile_is_only_words(tmp_path):
    """Names, labels and findings with code in them come out as they went in, as words."""
    names = (HOSTILE, '" onmouseover="x', "${7*7}{{7*7}}")
    s = full_subject(tmp_path)
    looks = as_looks(tmp_path, healthy_looks(names=(HOSTILE, "a&b'")))
    bad = {"id": HOSTILE, "severity": HOSTILE, "layers": [HOSTILE], "evidence": {HOSTILE: HOSTILE},
           "cause": HOSTILE, "fixes": [HOSTILE]}  # fmt: skip
    s = dataclasses.replace(
        s, name=HOSTILE, folder=HOSTILE, looks=looks, findings=[bad],
        environment={"command": HOSTILE, "platform": HOSTILE, "packages": {HOSTILE: HOSTILE}},
        held=Held(s.held.x, s.held.true, s.held.p, names), config={"model": HOSTILE},
        rows=rows(12, **{HOSTILE: lambda e: 1.0 / e}),
    )  # fmt: skip
    for text in (build(s), compare.build([s, full_subject(tmp_path)])):
        page = Page(text)
        tags = {t for t, _ in page.elements}
        assert "img" not in tags
        assert not [a for _, a in page.elements if any(k.startswith("on") for k in a)]
        bodies = scripts_of(text)
        policy = page.values("content")[1]
        assert len(bodies) == policy.count("sha256-")
        assert "alert(1)" not in "".join(bodies)
        assert HOSTILE in page.text
        assert HOSTILE in json.dumps(data_of(text), ensure_ascii=False)
        assert "49" not in page.text.split("Words")[0].split("$")[-1][:12]


def test_a_run_of_which_nothing_is_known_has_a_page_that_says_so():
    text = build(Subject("empty"))
    words = Page(text).text
    for said in (UNDIAGNOSED, "No epoch was finished", "no layers.jsonl", "No example is worked",
                 "No graph is shown", "the run has no model"):  # fmt: skip
        assert said in words
    assert "Unfinished" in words
    assert "not computed" in words
    assert "vega" not in text.lower().split("<script>")[1][:500], "no chart, no Vega"
    assert len(text) < 60_000


def test_looks_without_numbers_make_no_zeros(tmp_path):
    looks = as_looks(tmp_path, [look(s, [layer("fc1"), layer("out")]) for s in (0, 5)])
    text = build(full_subject(tmp_path, looks=looks))
    flow = re.search(r'<section id="flow".*?</section>', text, re.DOTALL)[0]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", flow)
    assert any("not computed" in c for c in cells)
    assert set(cells) <= {"0", "5", '<span class="gap">not computed</span>', "fc1", "out", "Tanh"}


def test_numbers_that_are_not_finite_are_words_in_the_data(tmp_path):
    looks = [look(0, [layer("fc1", grad=math.nan, ratio=math.inf)])]
    s = full_subject(tmp_path, looks=as_looks(tmp_path, looks),
                     rows=rows(6, loss=lambda e: math.nan if e > 3 else 1 / e))  # fmt: skip
    text = build(s)
    assert '"nan"' in json.dumps(data_of(text))
    assert verdict_of(s).word == "Broken"
    assert "nan" in Page(text).text


@pytest.mark.parametrize(("changed", "word"), [
    ({}, "Healthy"), ({"findings": None}, "Finished"), ({"result": None}, "Unfinished"),
    ({"result": {"error": "loss is nan"}}, "Failed"),
    ({"findings": [{"id": "x", "severity": "warning"}]}, "Look here"),
    ({"findings": [{"id": "x", "severity": "info"}]}, "Healthy"),
])  # fmt: skip
def test_the_verdict(tmp_path, changed, word):
    assert verdict_of(full_subject(tmp_path, **changed)).word == word


def test_a_model_that_gives_no_numbers_has_a_page(tmp_path):
    s = full_subject(tmp_path)
    s.model[0].load_state_dict({"weight": np.full((5, 2), np.nan, np.float32),
                                "bias": np.zeros(5, np.float32)})  # fmt: skip
    p = np.full_like(s.held.p, np.nan)
    words = Page(
        build(dataclasses.replace(s, held=Held(s.held.x, s.held.true, p, s.held.names)))
    ).text
    assert "no finite number" in words
    assert "a weight is not finite" in words


def test_two_runs_part_where_they_differ(tmp_path):
    first = full_subject(tmp_path)
    other = healthy_looks()
    other[4]["layers"][1]["grad"] *= 1 + 1e-9
    second = full_subject(tmp_path, name="made-0002", looks=as_looks(tmp_path, other),
                          config={"recipe": {"data": "made", "lr": 0.02}})  # fmt: skip
    words = compare.parting(first, second)
    assert "Diverged at step 8 in fc2 (at step 6 they were alike)" in words
    assert "equal for 12 epochs" in words
    page = Page(compare.build([first, second])).text
    assert "Watch the distance" in page
    assert "a single bar at 0" not in page, "how to read a chart that is not there"
    assert "Diverged at step 8 in fc2" in page
    assert re.search(r"lr 0\.01 0\.02", page)
    assert "Alike in every layer up to step 58" in compare.parting(first, first)
    later = full_subject(tmp_path, rows=rows(12, loss=lambda e: 1 / e if e < 5 else 2 / e))
    assert "By epoch 5 (step 50) the logs differ: loss" in compare.parting(first, later)


def test_numbers_of_different_data_are_not_compared(tmp_path):
    first = full_subject(tmp_path)
    other = full_subject(tmp_path, name="other-0001", config={"recipe": {"data": "other"}})
    assert compare.parting(first, other) == (
        "They learn from different data, made and other: neither their layers nor their losses "
        "compare."
    )
    page = Page(compare.build([first, other])).text
    assert "The losses, which do not compare" in page
    assert "The runs learn from different data, made and other" in page
    assert "the lowest validation loss," not in page
    assert "held-out rmse" not in page, "a column that no run has"
    longer = full_subject(tmp_path, looks=[], rows=[{**r, "step": 2 * r["step"]} for r in rows(5)])
    assert "epoch 1 ends at step 10 against 20" in compare.parting(first, longer)


def test_nan_is_alike_nan(tmp_path):
    looks = as_looks(tmp_path, [look(0, [layer("fc1", grad=math.nan)])])
    s = full_subject(tmp_path, looks=looks)
    assert "Alike in every layer" in compare.parting(s, s)


def test_the_scripts_of_others_are_those_that_were_taken_in(monkeypatch, tmp_path):
    names = {p.name for p in assets.FOLDER.glob("*.js")}
    assert names == set(assets.checksums()) == {*assets.DRAWING, *assets.LAYOUT}
    licences = (assets.FOLDER / "THIRD_PARTY_LICENSES").read_text(encoding="utf-8")
    for name in names:
        assert name.removesuffix(".min.js") in licences
        assert "</script" not in assets.vendored(name)
    (tmp_path / "vega.min.js").write_text("alert(1)")
    (tmp_path / "SHA256SUMS").write_text((assets.FOLDER / "SHA256SUMS").read_text())
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    assets.vendored.cache_clear()
    try:
        with pytest.raises(FormatError, match="has been changed"):
            assets.vendored("vega.min.js")
    finally:
        assets.vendored.cache_clear()


RECORDED = {
    "On 4 held-out rows the prediction is off by 8.473 (root mean square).":
        {"test_rows": 4, "test_rmse": 8.4725, "test_r2": -1.1},
    "44 of 80 held-out rows have all labels right, F1 is 0.8068 (the mean over the labels).":
        {"test_rows": 80, "test_f1": 0.80678, "test_rows_right": 0.55},
    "Held-out accuracy 96.67 %.": {"test_accuracy": 29 / 30, "test_log_loss": 0.1},
    "Held-out loss 0.25, top k 0.5.": {"test_loss": 0.25, "test_top_k": 0.5},
    "No held-out rows were evaluated.": {"test_loss": float("nan")},
}  # fmt: skip


@pytest.mark.parametrize("told", RECORDED)
def test_the_verdict_without_the_model_says_what_the_result_says(tmp_path, told):
    s = full_subject(tmp_path, held=None, model=None, result=RECORDED[told])
    assert verdict_of(s).sentence.startswith(told)
