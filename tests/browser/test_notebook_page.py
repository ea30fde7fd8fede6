"""What notebooks show, in a browser: readable in light and dark, and by axe."""

from __future__ import annotations

import pytest
from pages import opened, serious

from test_notebook import SHOWN

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>a notebook</title>
<style>:root {{ color-scheme: light dark; color: CanvasText; background: Canvas }}</style></head>
<body><main><h1>a notebook</h1>{}</main></body></html>"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_notebook_of_everything(browser, axe, tmp_path, scheme):
    page = tmp_path / "notebook.html"
    page.write_text(PAGE.format("<hr>".join(made()._repr_html_() for made in SHOWN.values())))
    with opened(browser, page, color_scheme=scheme) as shown:
        assert serious(axe, shown) == []
        for box in shown.query_selector_all("summary"):
            box.evaluate("s => s.parentElement.open = true")
        assert serious(axe, shown) == []
        colour = shown.locator("table").first.evaluate("e => getComputedStyle(e).color")
        assert colour == shown.evaluate("getComputedStyle(document.body).color")
        assert shown.locator("svg[role=img]").count() > 5
