"""The playground's page in a browser."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from click.testing import CliRunner
from pages import opened, serious

from chainrule import manual_seed, nn, playground
from chainrule.cli.app import app
from chainrule.derivation.writing import number
from chainrule.playground.network import small
from chainrule.playground.record import Recorded

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The article's page; a run's on the moons; one of a larger net."""
    folder = tmp_path_factory.mktemp("pages")
    runs = str(folder / "runs")

    def call(*words):
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == 0, result.output

    call("playground", "-o", str(folder / "article.html"))
    call("train", "moons", "--layers", "4", "--epochs", "20", "-q", "--runs-dir", runs)
    call("playground", "moons", "--runs-dir", runs, "-o", str(folder / "moons.html"))
    manual_seed(0)
    dense = nn.Sequential(nn.Linear(3, 12), nn.GELU(), nn.Linear(12, 3))
    playground.page(dense, nn.CrossEntropyLoss(), [1.0, -2.0, 0.5], 2,
                    title="<b>dense</b>").write(folder / "dense.html")  # fmt: skip
    return {name: folder / f"{name}.html" for name in ("article", "moons", "dense")}


NAMES = ("article", "moons", "dense")
LOOKS = {
    "light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"},
    "narrow": {"viewport": {"width": 400, "height": 700}},
}  # fmt: skip


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_serious(browser, axe, pages, name, look):
    with opened(browser, pages[name], **LOOKS[look]) as page:
        for box in page.query_selector_all("summary"):
            box.evaluate("s => s.parentElement.open = true")
        page.keyboard.press("q")
        assert serious(axe, page) == []


def test_axe_would_find_something(browser, axe, pages):
    with opened(browser, pages["article"]) as page:
        page.evaluate("document.querySelector('#step').closest('label').replaceWith("
                      "document.querySelector('#step'))")  # fmt: skip
        assert any("label" in found for found in serious(axe, page))


@pytest.mark.parametrize("name", NAMES)
def test_print_shows_everything_on_white(browser, axe, pages, name):
    with opened(browser, pages[name], color_scheme="dark") as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("#table tbody tr").last.is_visible()
        assert not page.locator("#play").is_visible()
        white = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert white == "rgb(255, 255, 255)"
        assert serious(axe, page) == []


@pytest.mark.parametrize("name", NAMES)
def test_without_javascript_every_number_is_there(browser, pages, name):
    trace = trace_of(pages[name])
    with opened(browser, pages[name], java_script_enabled=False) as page:
        assert page.locator("#table tbody tr").count() == len(trace["steps"])
        assert page.locator("#table tbody tr").last.is_visible()
        assert not page.locator("#play").is_visible()
        assert page.locator("#net").is_visible()
        assert page.locator("noscript p").is_visible()
        if name == "moons":
            assert page.locator("#map .area").count() > 5
            assert page.locator("#map .line").count() > 0


def trace_of(path):
    text = path.read_text()
    return json.loads(re.search(r'id="trace">(.*?)</script>', text, re.S)[1])


def show_table(page):
    page.locator("summary", has_text="numbers, forward and backward").click()


def value_of(page):
    return page.locator("#said b").nth(1).inner_text()


def name_of(page):
    return page.locator("#said b").nth(0).inner_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_keyboard_walks_through_every_step(browser, pages, name):
    trace = trace_of(pages[name])
    with opened(browser, pages[name]) as page:
        for i, step in enumerate(trace["steps"][:40]):
            key, at = step["value"]
            assert name_of(page) == trace["labels"][key][at]
            assert value_of(page) == number(trace["values"][key][at])
            assert f"step {i + 1} of {len(trace['steps'])}" in page.inner_text("#where, .where")
            page.keyboard.press("ArrowRight")
        page.keyboard.press("b")
        assert "backward" in page.inner_text("#said")
        page.keyboard.press("ArrowLeft")
        assert "forward · loss" in page.inner_text("#said")
        page.keyboard.press("End")
        assert f"step {len(trace['steps'])} of" in page.inner_text("#said")
        page.keyboard.press("Home")
        assert "step 1 of" in page.inner_text("#said")


def test_tab_reaches_every_control_and_shows_where_it_is(browser, pages):
    with opened(browser, pages["moons"]) as page:
        wanted = set(page.evaluate(
            "[...document.querySelectorAll('button, select, input, summary')]"
            ".filter(e => e.checkVisibility()).map((e, i) => (e.dataset.n = i, String(i)))"
        ))  # fmt: skip
        reached = set()
        for _ in range(len(wanted) + 60):
            page.keyboard.press("Tab")
            n, outline = page.evaluate(
                "(() => { const e = document.activeElement;"
                "return [e.dataset.n || '', getComputedStyle(e).outlineStyle]; })()"
            )
            if n:
                reached.add(n)
                assert outline != "none", n
        assert reached == wanted


def test_targets_are_large_enough(browser, pages):
    with opened(browser, pages["moons"]) as page:
        small_ones = page.evaluate(
            "[...document.querySelectorAll('button, select, input, summary')]"
            ".filter(e => e.checkVisibility()).filter(e => { const b = (e.closest('label') || e)"
            ".getBoundingClientRect(); return b.height < 24 || b.width < 24; }).map(e => e.id)"
        )
        assert small_ones == []


def test_it_plays_and_pauses(browser, pages):
    with opened(browser, pages["article"]) as page:
        page.clock.install()
        page.keyboard.press("Space")
        assert page.get_attribute("#play", "aria-pressed") == "true"
        assert page.get_attribute("#said", "aria-live") == "off"
        page.clock.run_for(5000)
        assert "step 4 of" in page.inner_text("#said")
        page.keyboard.press("Space")
        page.clock.run_for(5000)
        assert "step 4 of" in page.inner_text("#said")
        assert page.get_attribute("#said", "aria-live") == "polite"


def test_single_keys_can_be_switched_off(browser, pages):
    with opened(browser, pages["article"]) as page:
        page.uncheck("#keys")
        page.focus("#next")
        page.keyboard.press("b")
        assert "step 1 of" in page.inner_text("#said")


def test_a_changed_weight_changes_what_the_engine_would_change(browser, pages):
    trace = trace_of(pages["article"])
    with opened(browser, pages["article"]) as page:
        show_table(page)
        page.get_by_label("W²₁", exact=True).fill("-1.25")
        page.keyboard.press("Enter")
        assert "W²₁ is now -1.25" in page.inner_text("#edited")
        shown = [r.split("\t")[5].strip() for r in page.locator("#table tbody tr").evaluate_all(
            "rows => rows.map(r => [...r.cells].map(c => c.textContent).join('\t'))")]  # fmt: skip
        model = nn.Sequential(nn.Linear(2, 2, dtype=np.float64), nn.Sigmoid(),
                              nn.Linear(2, 1, dtype=np.float64), nn.Sigmoid())  # fmt: skip
        v = {k: np.array(x, np.float64) for k, x in trace["values"].items()}
        v["W2"][0] = -1.25
        model.load_state_dict({"0.weight": v["W1"].reshape(2, 2).T, "0.bias": v["b1"],
                               "2.weight": v["W2"].reshape(1, 2), "2.bias": v["b2"]})  # fmt: skip
        engine = Recorded(small(model, nn.MSELoss()), v["x"], v["y"]).values
        for step, text in zip(trace["steps"], shown, strict=True):
            key, at = step["value"]
            assert text == number(float(np.ravel(engine[key])[at])), key
        assert page.locator('#net [data-text="W2,0"]').text_content() == "-1.25"
        page.click("#reset")
        again = page.locator("#table tbody tr td:nth-child(6)").all_text_contents()
        assert again == [number(trace["values"][k][i]) for k, i in
                         (s["value"] for s in trace["steps"])]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_script_writes_what_python_wrote(browser, pages, name):
    """Formulas and numbers are written in two languages: they must not differ by a sign."""
    with opened(browser, pages[name]) as page:
        read = "rows => rows.map(r => [...r.cells].map(c => c.textContent))"
        before = page.locator("#table tbody tr").evaluate_all(read)
        show_table(page)
        page.click("#reset")
        assert page.locator("#table tbody tr").evaluate_all(read) == before


def test_a_table_that_is_opened_or_printed_later_is_up_to_date(browser, pages):
    cell = "#table tbody tr:first-child td:nth-child(6)"
    for late in (show_table, lambda p: p.evaluate("dispatchEvent(new Event('beforeprint'))")):
        with opened(browser, pages["article"]) as page:
            page.get_by_label("x₁", exact=True).fill("2")
            page.keyboard.press("Enter")
            assert page.locator(cell).text_content() == "0.410000"
            late(page)
            page.wait_for_function(f"document.querySelector('{cell}').textContent !== '0.410000'")
            assert page.locator(cell).text_content() == number(2 * 0.5 + 0.3 * 0.2 + 0.1)


def test_what_is_no_number_is_refused(browser, pages):
    with opened(browser, pages["article"]) as page:
        field = page.get_by_label("x₁", exact=True)
        field.fill("")
        field.blur()
        assert "must be a number" in page.inner_text("#edited")
        assert field.get_attribute("aria-invalid") == "true"
        assert value_of(page) == "0.410000"


def test_an_overflow_is_shown_as_such(browser, pages):
    with opened(browser, pages["moons"]) as page:
        page.evaluate("document.querySelectorAll('#fields details').forEach(d => d.open = true)")
        page.get_by_label("W¹₁₁", exact=True).fill("1e308")
        page.get_by_label("x₁", exact=True).fill("1e9")
        page.keyboard.press("Enter")
        text = page.inner_text("#edited")
        assert "loss" in text
        page.click("#reset")
        assert "inf" not in page.inner_text("#said")


def test_the_quiz_covers_a_number_and_knows_the_answer(browser, pages):
    trace = trace_of(pages["article"])
    with opened(browser, pages["article"]) as page:
        for i in range(12):
            page.keyboard.press("b") if i % 2 else page.keyboard.press("ArrowRight")
            page.keyboard.press("q")
            assert "?" in page.locator("#said .formula").all_inner_texts()[1]
            choices = page.locator("#answers input").evaluate_all("e => e.map(x => x.value)")
            assert len(set(choices)) == len(choices) == 4
            page.click("#check")
            assert "Choose" in page.inner_text("#verdict")
            said = []
            for choice in choices:
                page.check(f'#answers input[value="{choice}"]')
                page.click("#check")
                said.append(page.inner_text("#verdict"))
                if said[-1].startswith("✔"):
                    break
            assert said[-1].startswith("✔ Right: ")
            assert "?" not in page.locator("#said .formula").all_inner_texts()[1]
            page.locator("#next").focus()
        assert trace["steps"]


def test_what_if_says_what_the_engine_would_lose(browser, pages):
    """The loss after the article's step: 0.002569985 with the learning rate 0.1."""
    with opened(browser, pages["article"]) as page:
        assert "loss 0.002637 → 0.002570" in page.inner_text("#outcome")
        assert "kept -6.691e-05 (99 %)" in page.inner_text("#outcome")
        rows = page.locator("#future tbody td").all_text_contents()
        assert rows == ["0.002637", "0.002570", "0.002047", "0.000265"]
        page.fill("#rate", "1")
        page.select_option("#activation", "tanh")
        text = page.inner_text("#outcome")
        assert text.startswith("With tanh between the layers")
        page.fill("#rate", "-1")
        page.locator("#rate").blur()
        assert "must be a number" in page.inner_text("#outcome")


def test_the_training_goes_through_its_moments(browser, pages):
    trace = trace_of(pages["moons"])
    moments = trace["training"]["moments"]
    with opened(browser, pages["moons"]) as page:
        end = page.inner_text("#here")
        page.focus("#frame")
        page.keyboard.press("Home")
        assert "epoch 0" in page.inner_text("#moment")
        assert number(moments[0]["loss"]) in page.inner_text("#moment")
        share = re.match(r"(\d+) of 1000", page.inner_text("#here"))[1]
        assert math.isclose(int(share) / 1000, moments[0]["accuracy"])
        for _ in moments[1:]:
            page.keyboard.press("ArrowRight")
        assert page.inner_text("#here") == end
        assert page.locator("#map .line").count() == 4
        page.select_option("#line", "2")
        assert page.locator("#map .line").count() == 1


def test_another_example_can_be_taken(browser, pages):
    examples = trace_of(pages["moons"])["training"]["examples"]
    with opened(browser, pages["moons"]) as page:
        field = page.get_by_label("take example")
        assert field.input_value() == "0"
        field.fill("7")
        field.blur()
        x = float(np.float32(examples["x"][7][0]))
        assert float(page.get_by_label("x₁", exact=True).input_value()) == x
        assert page.get_by_label("true class").input_value() == str(examples["y"][7])
        field.fill("5000")
        field.blur()
        assert "Examples are 0 to 999" in page.inner_text("#edited")


def test_the_theme_can_be_chosen(browser, pages):
    with opened(browser, pages["article"], color_scheme="light") as page:
        page.select_option("#theme", "dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 24, 39)"


@pytest.mark.parametrize("name", NAMES)
def test_twice_as_large_it_still_fits(browser, pages, name):
    """200 % zoom is half the width: the page may not scroll sideways, its pictures may."""
    with opened(browser, pages[name], viewport={"width": 640, "height": 400}) as page:
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0


def test_less_motion_is_respected(browser, pages):
    with opened(browser, pages["article"], reduced_motion="reduce") as page:
        moving = page.evaluate(
            "[...document.querySelectorAll('#net *')].filter(e => "
            "getComputedStyle(e).transitionDuration !== '0s').length"
        )
        assert moving == 0
