"""What the tests of pages share: Debian's Chromium, and an audit by axe."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium")


@contextmanager
def started():
    """A browser; the tests are skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser, path, **settings):
    """A page from file://, for which any request to elsewhere and any script error is a failure."""
    context = browser.new_context(**settings)
    page = context.new_page()
    wrong = []
    page.on("request", lambda r: r.url.startswith("file:") or wrong.append(f"asks for {r.url}"))
    page.on("pageerror", lambda e: wrong.append(f"error {e}"))
    page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
    page.goto(path.as_uri())
    try:
        yield page
    finally:
        context.close()
    assert not wrong


def serious(page):
    """What axe finds that is serious or critical, as texts."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-...")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:120]} {v['nodes'][0]['failureSummary']}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
