"""What colour tells is told without it: a page in greys, and how its marks stand out on white."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest

from chainrule.markup import colour_at
from chainrule.report import charts
from chainrule.report.build import build
from report_cases import as_looks, full_subject, healthy_looks, rows

pytestmark = pytest.mark.browser
LEAST = 3.0
"""The contrast of marks that WCAG 2 asks for (1.4.11)."""
NAMES = ("fc1", "fc2", "fc3", "fc4", "fc5", "fc6", "fc7", "out")

DARKEST = """async (png) => {
    const bytes = await fetch(`data:image/png;base64,${png}`);
    const picture = await createImageBitmap(await bytes.blob());
    const sheet = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
    sheet.drawImage(picture, 0, 0);
    const data = sheet.getImageData(0, 0, picture.width, picture.height).data;
    const linear = (v) => (v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    let least = 1, grey = true;
    for (let i = 0; i < data.length; i += 4) {
        const [r, g, b] = data.slice(i, i + 3);
        grey &&= Math.max(r, g, b) - Math.min(r, g, b) < 3;
        least = Math.min(least, 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b));
    }
    return [least, grey];
}"""  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A run of eight layers, one of which leaves the finite numbers, with every severity."""
    folder = tmp_path_factory.mktemp("grey")
    looks = healthy_looks(names=NAMES)
    for look in looks[-4:]:
        look["layers"][2]["grad"] = "nan"
    looks[0]["layers"][4]["grad"] = 0.0
    findings = [{"id": "vanishing", "severity": k, "layers": ["fc1"]}
                for k in ("error", "warning", "note")]  # fmt: skip
    path = folder / "grey.html"
    s = full_subject(folder, looks=as_looks(folder, looks), rows=rows(60), findings=findings)
    path.write_text(build(s), encoding="utf-8")
    return path


def in_grey(opened, page):
    shown = opened(page, bypass_csp=True).drawn()
    shown.add_style_tag(content="html { filter: grayscale(1) }")
    return shown


def dashes(shown, chart, part, lines):
    """By panel, how every line of a chart is broken."""
    found = shown.eval_on_selector_all(
        f".plot[data-chart={chart}] {part} {lines}",
        "e => e.map((x) => [getComputedStyle(x).strokeDasharray, getComputedStyle(x).stroke])",
    )
    return found  # fmt: skip


def test_lines_of_one_panel_are_broken_in_different_ways(opened, page):
    shown = in_grey(opened, page)
    for chart, most in (("learning", 2), ("ratios", 8)):
        live = {
            tuple(d) for d in dashes(shown, chart, ".live", ".mark-line path:not([stroke-opacity])")
        }
        drawn = {tuple(d) for d in dashes(shown, chart, ".still", "path.line")}
        for found in (live, drawn):
            assert len(found) >= most
    ratios = dashes(shown, "ratios", ".live", ".mark-line path")
    assert len({d for d, _ in ratios}) == len(ratios) == 8
    first = dashes(shown, "learning", ".still", "path.line")[:2]
    assert first[0][0] != first[1][0], "training and validation"
    words = shown.inner_text("#chart-learning")
    assert "(solid)" in words
    assert "(dashed)" in words
    assert len(set(charts.DASHES)) == len(charts.DASHES)


def test_words_and_signs_say_what_colours_say(opened, page):
    shown = in_grey(opened, page)
    badges = shown.locator(".finding .badge").all_inner_texts()
    assert [b.split() for b in badges] == [["✖", "error"], ["!", "warning"], ["✔", "note"]]
    assert "✖ Look here" in shown.inner_text(".verdict")
    heat = shown.locator(".plot[data-chart=flow] .live .mark-text text").all_text_contents()
    assert "✖" in heat, "a gradient that is not finite"
    still = shown.eval_on_selector(".plot[data-chart=flow] .still", "e => e.textContent")
    assert "✖" in still
    assert "not finite" in still
    right = shown.locator("td.right").first
    assert right.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    shown.focus(".plot[data-chart=flow]")
    for key in ("ArrowRight", "End"):
        shown.keyboard.press(key)
    shown.wait_for_function("""() => /^fc3, step [0-9]+: nan$/
        .test(document.getElementById("flow-said").textContent)""")  # read out as what it is


def test_a_colour_scale_is_a_scale_of_greys():
    """Brighter is more: the map has no two places of one luminance."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    scale = [luminance(colour_at(k / 24)) for k in range(25)]
    assert all(b > a for a, b in pairwise(scale))


def test_every_line_stands_out_from_white(opened, page, browser):
    shown = in_grey(opened, page)
    shown.emulate_media(media="print")
    judge = browser.new_page()
    lines = shown.locator(".plot .still path.line")
    shown.add_style_tag(
        content=".alone * { visibility: hidden } .alone .seen { visibility: visible }"
    )
    colours = {}
    for i in range(lines.count()):
        colours.setdefault(lines.nth(i).get_attribute("stroke"), lines.nth(i))
    assert set(colours) <= set(charts.COLOURS)
    assert len(colours) == len(charts.COLOURS)
    for colour, line in colours.items():
        drawing = line.locator("xpath=ancestor::*[local-name()='svg']")
        line.evaluate("e => { e.classList.add('seen'); e.closest('svg').classList.add('alone'); }")
        png = base64.b64encode(drawing.screenshot()).decode()
        line.evaluate(
            "e => { e.classList.remove('seen'); e.closest('svg').classList.remove('alone'); }"
        )
        least, grey = judge.evaluate(DARKEST, png)
        assert grey, "the page is in greys"
        assert 1.05 / (least + 0.05) >= LEAST, colour
    judge.close()
