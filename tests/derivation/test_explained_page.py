"""Derivations as pages: formulas a browser sets, their texts, and names that stay names."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from html.parser import HTMLParser
from pathlib import Path

import pytest

import chainrule
from chainrule import nn
from chainrule.derivation.models import explain
from chainrule.derivation.page import fragment
from derivation.make_golden import CASES, MODELS

FORMULAS = {"math", "mrow", "mi", "mn", "mo", "msub", "msup", "mfrac"}
TAGS = {"section", "style", "h3", "p", "table", "caption", "strong", "tbody", "tr", "th", "td",
        "div", "details", "summary", "pre"}  # fmt: skip
ARITY = {"msub": 2, "msup": 2, "mfrac": 2}
HOSTILE = [
    "<script>alert(1)</script>",
    "a&b\"c'd",
    "x\x1b[31m\nred",
    "ünï",
    "-->",
    "]]>",
    "{{7*7}}",
]


class Strict(HTMLParser):
    """Reads a page, and holds that every tag is closed and known."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.texts, self.children = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if self.children:
            self.children[-1] += 1
        self.open.append(tag)
        self.children.append(0)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        assert self.children.pop() == ARITY.get(tag, 0) or tag not in ARITY, tag

    def handle_data(self, data):
        self.texts.append(data)


def read(page):
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def hold(page):
    parser = read(page)
    assert {tag for tag, _ in parser.seen} <= TAGS | FORMULAS
    for tag, attributes in parser.seen:
        assert set(attributes) <= {"class", "lang", "scope", "alttext", "displaystyle", "form"}, tag
        assert tag != "math" or "alttext" in attributes or attributes == {"displaystyle": "true"}
    assert "url(" not in page
    assert "@import" not in page
    return parser


@pytest.mark.parametrize("name", ["case-study", "neuron"])
def test_a_small_network_is_a_page(name):
    parser = hold(fragment(CASES[name]()))
    assert any("∂L/∂" in a.get("alttext", "") for _, a in parser.seen)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_a_page_that_holds_its_text(name):
    found = MODELS[name]()
    page = found.html()
    assert found._repr_html_() == page
    parser = hold(page)
    assert found.text(100) in "".join(parser.texts)


def named(name):
    """A model whose layer has a name that means something to somebody."""
    chainrule.manual_seed(0)
    model = nn.Sequential(OrderedDict([(name, nn.Linear(2, 3)), ("act", nn.ReLU())]))
    x = chainrule.ones(2, 2)
    return explain(lambda: model(x).sum(), f"{name}.weight[0,1]", model, lr=0.1)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_a_name(name):
    found = named(name)
    page = found.html()
    parser = hold(page)
    assert "<script" not in page
    shown = "".join(c if c.isprintable() else "?" for c in name)
    assert shown in "".join(parser.texts)
    assert found.text(ascii_only=True).isascii()
    for text in (found.text(), found.text(plain=True, ascii_only=True), page):
        assert "\x1b" not in text


@pytest.mark.parametrize("at", ["[0]", "[1]"])
def test_nan_and_infinity_have_a_page(at):
    w = chainrule.tensor([0.0, -1.0], requires_grad=True)
    hold(explain(lambda: chainrule.log(w).sum(), f"w{at}", {"w": w}).html())


@pytest.mark.slow
def test_a_browser_sets_it_and_fetches_nothing(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    page_file: Path = tmp_path / "page.html"
    body = MODELS["update"]().html() + named(HOSTILE[0]).html()
    page_file.write_text(f'<!doctype html><html lang="en"><title>t</title><body>{body}',
                         encoding="utf-8")  # fmt: skip
    asked, said = [], []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 700})
        page.on("request", lambda r: asked.append(r.url))
        page.on("dialog", lambda d: said.append(d.message))
        page.goto(page_file.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        heights = page.evaluate(
            "[...document.querySelectorAll('mfrac')].map(m => m.getBoundingClientRect().height)"
        )
        browser.close()
    assert asked == [page_file.as_uri()]
    assert not said
    assert wide <= 900  # long formulas break, the rest scrolls in its own box
    assert min(heights) > 10
