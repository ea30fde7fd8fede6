"""The report as a person meets it: light, dark, printed, without scripts, by keyboard alone."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from click.testing import CliRunner

from chainrule.cli.app import app
from chainrule.cli.report import whole_subject
from chainrule.report import compare
from chainrule.report.build import build
from chainrule.report.results import Held
from chainrule.train import Run
from report_cases import BUDGET, HOSTILE, as_looks, full_subject, healthy_looks, write_looks

pytestmark = pytest.mark.browser
FINDING = {"id": "vanishing-gradient", "severity": "warning", "layers": ["fc1"],
           "steps": [0, 40], "evidence": {"grad": 2e-6}, "cause": "slope 0.2",
           "fixes": ["chainrule train moons --activation relu"]}  # fmt: skip


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A real run of moons, with looks inside."""
    folder = tmp_path_factory.mktemp("runs")
    words = ["train", "moons", "--layers", "8,5", "--epochs", "45", "--runs-dir", str(folder)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    write_looks(folder / "moons-0001", healthy_looks(400, 4))
    return Run(folder / "moons-0001")


@pytest.fixture(scope="session")
def page(run):
    path = run.path / "page.html"
    path.write_text(build(whole_subject(run, [FINDING])), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def comparison(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("compared") / "compared.html"
    s = whole_subject(run)
    other = dataclasses.replace(s, name="moons-0002", rows=s.rows[:30])
    path.write_text(compare.build([s, other]), encoding="utf-8")
    return path


def colours(page):
    return page.evaluate("""() => {
        const s = getComputedStyle(document.body);
        return [s.backgroundColor, s.color];
    }""")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn_and_nobody_is_asked(opened, page, comparison, scheme):
    for path in (page, comparison):
        found = opened(path, color_scheme=scheme)
        shown = found.drawn()
        assert found.wrong == []
        charts = shown.query_selector_all(".plot")
        assert len(charts) == (7 if path == page else 1)
        for chart in charts:
            assert chart.query_selector(".live svg").bounding_box()["height"] > 60
            assert not chart.query_selector(".still").is_visible()
        background, ink = colours(shown)
        assert (background == "rgb(17, 24, 39)") == (scheme == "dark")
        assert background != ink


def test_the_theme_can_be_chosen(opened, page):
    found = opened(page, color_scheme="light")
    shown = found.drawn()
    light = colours(shown)
    label = ".plot[data-chart=learning] .live text"
    ink = shown.eval_on_selector(label, "e => getComputedStyle(e).fill")
    shown.select_option("#theme", "dark")
    assert colours(shown) != light
    shown.wait_for_function(
        "([s, ink]) => getComputedStyle(document.querySelector(s)).fill !== ink", arg=[label, ink]
    )
    shown.select_option("#theme", "auto")
    assert colours(shown) == light
    assert found.wrong == []


def test_without_scripts_everything_can_be_read(opened, page):
    found = opened(page, java_script_enabled=False)
    shown = found.page
    for still in shown.query_selector_all(".plot .still, #graph-still, #boundary-still"):
        assert still.is_visible()
        assert still.query_selector("svg").bounding_box()["height"] > 60
    for table in shown.query_selector_all("table"):
        assert table.is_visible()
    assert not shown.query_selector("button:visible")
    assert "Validation loss" in shown.inner_text("#learning")
    assert found.wrong == []


def test_with_scripts_long_tables_are_folded(opened, page):
    shown = opened(page).drawn()  # while charts are drawn, what lies below them moves
    assert not shown.query_selector("#learning-table").is_visible()
    shown.click("#chart-learning summary")
    assert shown.query_selector("#learning-table").is_visible()


@pytest.mark.parametrize("scripts", [True, False])
def test_print_has_stills_and_open_tables_on_white(opened, page, scripts):
    found = opened(page, java_script_enabled=scripts, color_scheme="dark")
    shown = found.drawn() if scripts else found.page
    shown.emulate_media(media="print")
    for selector in (".plot .still", "#graph-still", "#boundary-still"):
        assert all(e.is_visible() for e in shown.query_selector_all(selector)), selector
    for selector in (".live", "nav", "button", ".said", ".skip", "#boundary-scrub"):
        assert not any(e.is_visible() for e in shown.query_selector_all(selector)), selector
    height = "e => e.getBoundingClientRect().height"
    assert all(h > 20 for h in [t.evaluate(height) for t in shown.query_selector_all("table")])
    assert colours(shown) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    assert len(shown.pdf(format="A4")) > 30_000


def test_at_200_per_cent_nothing_is_cut_off(opened, page, comparison):
    for path in (page, comparison):
        for scripts in (True, False):
            found = opened(path, viewport={"width": 640, "height": 480},
                           java_script_enabled=scripts)  # fmt: skip
            shown = found.drawn() if scripts else found.page
            width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            if scripts:
                assert shown.evaluate(width) <= 0
                wide = shown.evaluate("""() => Array.from(document.querySelectorAll(
                    "p, h1, h2, h3, dd, dt, li, pre, figcaption")).filter(
                    (e) => e.offsetParent && e.getBoundingClientRect().right > innerWidth + 1)
                    .map((e) => e.textContent.slice(0, 60))""")
                assert wide == []
            main = shown.query_selector("main").bounding_box()
            assert main["x"] + main["width"] <= 640
            assert found.wrong == []


@pytest.mark.parametrize("scripts", [True, False])
def test_on_a_phone_only_what_can_be_scrolled_is_wider(opened, page, scripts):
    found = opened(page, viewport={"width": 390, "height": 800}, java_script_enabled=scripts)
    shown = found.drawn() if scripts else found.page
    shown.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    wide = shown.evaluate("""() => Array.from(document.querySelectorAll("main *"))
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
        .filter((e) => !e.closest(".scroll, svg"))
        .map((e) => `${e.tagName} ${e.textContent.slice(0, 60)}`)""")  # fmt: skip
    assert wide == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    assert found.wrong == []


def focused(shown):
    return shown.evaluate("""() => {
        const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
        return [e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") +
                (e.dataset.chart ? ":" + e.dataset.chart : ""), s.outlineStyle, s.outlineWidth];
    }""")


def test_the_keyboard_reaches_everything(opened, page):
    found = opened(page)
    shown = found.drawn()
    shown.evaluate("scrollTo(0, 0)")
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.className") == "skip"
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.id") == "main"
    seen = []
    for _ in range(400):
        shown.keyboard.press("Tab")
        name, style, width = focused(shown)
        if name == "body":
            break
        seen.append(name)
        assert style != "none", f"{name} does not show that it has the focus"
        assert float(width.removesuffix("px")) >= 1
    charts = [e.get_attribute("data-chart") for e in shown.query_selector_all(".plot")]
    assert [n.split(":")[1] for n in seen if ":" in n] == charts
    wanted = shown.evaluate("""() => Array.from(document.querySelectorAll(
        "main a, main button, main input, main summary, main [tabindex='0']")).filter(
        (e) => e.checkVisibility({visibilityProperty: true})).length""")
    assert len(seen) >= wanted, "something can't be reached"
    assert found.wrong == []


def test_the_arrow_keys_read_a_chart_aloud(opened, page):
    found = opened(page)
    shown = found.drawn()
    rows = json.loads(shown.inner_text("#data", timeout=1000) or shown.evaluate(
        "document.getElementById('data').textContent"))["charts"]["learning"]["rows"]  # fmt: skip
    shown.focus(".plot[data-chart=learning]")
    said = shown.locator("#learning-said")
    for key, step in (("ArrowRight", rows[0][1]), ("ArrowRight", rows[1][1]), ("End", rows[-1][1]),
                      ("ArrowLeft", rows[-2][1]), ("Home", rows[0][1])):  # fmt: skip
        shown.keyboard.press(key)
        shown.wait_for_function(
            "step => document.getElementById('learning-said').textContent.startsWith(step)",
            arg=f"step {step}:",
        )
    assert "training" in said.inner_text()
    assert said.get_attribute("aria-live") == "polite"
    assert shown.query_selector(".plot[data-chart=learning] .live .mark-rule line") is not None
    shown.focus(".plot[data-chart=flow]")
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("ArrowDown")
    names = json.loads(shown.evaluate("document.getElementById('data').textContent"))
    second = names["charts"]["flow"]["data"]["names"][1]
    shown.wait_for_function(
        "n => document.getElementById('flow-said').textContent.startsWith(n)", arg=f"{second}, step"
    )
    shown.keyboard.press("Escape")
    shown.wait_for_function("() => document.getElementById('flow-said').textContent === ''")
    assert found.wrong == []


def test_the_heat_map_leads_to_worked_gradients(opened, page):
    found = opened(page)
    shown = found.drawn()
    names = shown.evaluate("""() => JSON.parse(document.getElementById("data").textContent)
        .charts.flow.data.names""")

    def arrived(layer):
        shown.wait_for_function("""layer => {
            const there = document.activeElement.closest("details[open]");
            const y = there ? there.getBoundingClientRect().y : -1;
            return y >= 0 && y < innerHeight && there.innerText.startsWith(`${layer}: `);
        }""", arg=layer)  # fmt: skip
        assert shown.locator("details[open] math").first.is_visible()
        shown.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = false; })")

    shown.focus(".plot[data-chart=flow]")
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        shown.keyboard.press(key)
    arrived(names[1])
    for _ in range(2):  # the second time the page is there already
        shown.locator(".plot[data-chart=flow] .mark-rect path").nth(3).click()
        arrived(names[0])
    for _ in range(2):
        shown.click(f"#flow .row a >> text={names[0]}")
        arrived(names[0])
    assert found.wrong == []
    plain = opened(page, java_script_enabled=False, reduced_motion="reduce").page
    plain.click(f"#flow .row a >> text={names[1]}")
    worked = plain.locator("details:target")
    assert worked.inner_text().startswith(f"{names[1]}: ")
    assert worked.locator("math").first.is_visible()
    assert worked.bounding_box()["y"] < 900


def test_the_graph_unfolds_by_keyboard(opened, page):
    found = opened(page)
    shown = found.drawn()
    layers = shown.query_selector_all("#graph-live [role=button]")
    assert len(layers) == 4, "the input and three layers"
    before = len(shown.query_selector_all("#graph-live .weight"))
    for label in ("fc1", "fc2"):
        shown.focus(f"#graph-live [aria-label^='{label},']")
        shown.keyboard.press("Enter")
    assert len(shown.query_selector_all("#graph-live .weight")) > before
    assert shown.query_selector("#graph-live [aria-expanded=true]:focus") is not None
    assert "unfolded" in shown.inner_text("#graph-said")
    shown.click("#graph-all")
    shown.click("#graph-all")
    assert len(shown.query_selector_all("#graph-live [role=button]")) > 8
    width = shown.eval_on_selector("#graph-live svg", "e => e.viewBox.baseVal.width")
    assert width < 4 * 160, "units of a layer stand close to each other"
    assert found.wrong == []


def test_a_factor_lights_its_line(opened, page):
    shown = opened(page).drawn()
    shown.click("#graph-all")
    keys = shown.evaluate("""() => Array.from(document.querySelectorAll("#example [tabindex]"))
        .map((e) => e.dataset.key).filter((k) => document.querySelector(
            `#graph-live [data-key="${k}"]`))""")
    assert keys, "a weight of the formula is in the picture"
    shown.focus(f"#example [data-key='{keys[0]}'][tabindex]")
    assert shown.query_selector(f"#graph-live .lit[data-key='{keys[0]}']") is not None
    shown.focus("#theme")
    assert shown.query_selector("#graph-live .lit") is None


def test_the_boundary_moves_with_the_slider(opened, page):
    found = opened(page)
    shown = found.drawn()
    shown.focus("#boundary-scrub")
    last = shown.inner_html("#boundary-live")
    said = shown.inner_text("#boundary-said")
    shown.keyboard.press("Home")
    assert shown.inner_html("#boundary-live") != last
    assert shown.inner_text("#boundary-said").startswith("Step 0, epoch 0")
    shown.keyboard.press("End")
    assert shown.inner_text("#boundary-said") == said
    shown.check("#boundary-units")
    assert shown.query_selector("#boundary-live .unitline") is not None
    assert found.wrong == []


def test_the_data_can_be_taken_away(opened, page):
    found = opened(page)
    shown = found.drawn()
    held = json.loads(shown.evaluate("document.getElementById('data').textContent"))
    with shown.expect_download() as download:
        shown.click("[data-save=all]")
    assert json.loads(download.value.path().read_text(encoding="utf-8")) == held
    with shown.expect_download() as download:
        shown.click("[data-save=learning]")
    text = download.value.path().read_text(encoding="utf-8")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == held["charts"]["learning"]["columns"]
    assert len(rows) == 1 + len(held["charts"]["learning"]["rows"])
    assert float(rows[1][2]) == held["charts"]["learning"]["rows"][0][2]
    assert found.wrong == []


def test_forced_colours_and_still_motion_are_honoured(opened, page):
    shown = opened(page, forced_colors="active", reduced_motion="reduce").drawn()
    assert shown.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert shown.evaluate("matchMedia('(forced-colors: active)').matches")
    background, ink = colours(shown)
    assert background != ink
    grid = shown.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')")
    assert grid.strip() == "CanvasText"


@pytest.mark.parametrize("look", ["light", "dark", "print", "without scripts"])
def test_axe_finds_nothing_serious(opened, axe, page, comparison, look):
    for path in (page, comparison):
        found = opened(path, color_scheme="dark" if look == "dark" else "light", bypass_csp=True)
        shown = found.page if look == "without scripts" else found.drawn()
        if look == "without scripts":  # what there is before a script has run
            shown.evaluate(
                "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
            )
        if look == "print":
            shown.emulate_media(media="print")
        results = axe(shown)
        serious = [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in results["violations"]
                   if v["impact"] in ("serious", "critical", "moderate")]  # fmt: skip
        assert serious == []
        assert len(results["passes"]) > 15, "axe looked at something"


def test_hostile_names_stay_words(opened, tmp_path):
    s = full_subject(tmp_path)
    names = (HOSTILE, "<b>bold</b>", "'\"><svg onload=alert(3)>")
    s = dataclasses.replace(
        s, name=HOSTILE, findings=[{**FINDING, "cause": HOSTILE, "layers": [HOSTILE]}],
        looks=as_looks(tmp_path, healthy_looks(names=(HOSTILE, "javascript:alert(4)"))),
        environment={"command": HOSTILE}, held=Held(s.held.x, s.held.true, s.held.p, names),
    )  # fmt: skip
    path = tmp_path / "hostile.html"
    path.write_text(build(s), encoding="utf-8")
    found = opened(path)
    shown = found.drawn()
    for plot in shown.query_selector_all(".plot"):
        plot.focus()
        shown.keyboard.press("ArrowRight")
        plot.query_selector(".live").hover(force=True)
    shown.wait_for_timeout(400)
    assert found.wrong == []
    assert "<script>alert(1)</script>" in shown.inner_text("h1")
    assert shown.query_selector("img") is None


def test_the_page_keeps_its_budget(page):
    assert page.stat().st_size < BUDGET
