"""A real browser: Debian's Chromium, driven by playwright.

Where either is absent the tests skip and say what to install; under REQUIRE_BROWSER=1, as in
continuous integration, that is a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest

MISSING = "a browser is needed: apt-get install chromium; pip install 'chainrule[browser]'"


def absent(why):
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"{MISSING} ({why})", pytrace=False)
    pytest.skip(f"{MISSING} ({why})")


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        absent(str(error))
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if path is None:
        absent("no chromium on the PATH")
    with sync_playwright() as p:
        found = p.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def axe():
    """axe(page): what its accessibility rules found."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError as error:
        absent(str(error))
    return lambda page: Axe().run(page).response


class Opened:
    """A page that notes whatever should not happen: requests, errors, dialogs."""

    def __init__(self, context):
        self.page = context.new_page()
        self.wrong = []
        self.page.on("request", lambda r: self.wrong.append(f"asks for {r.url}")
                     if not r.url.startswith(("file:", "data:", "blob:")) else None)  # fmt: skip
        self.page.on("console", lambda m: self.wrong.append(f"{m.type}: {m.text}")
                     if m.type in ("error", "warning") else None)  # fmt: skip
        self.page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        self.page.on("dialog", lambda d: (self.wrong.append(f"dialog {d.message}"), d.dismiss()))

    def drawn(self):
        """Scrolls through the page until every chart is drawn."""
        for plot in self.page.query_selector_all(".plot[data-chart]"):
            plot.scroll_into_view_if_needed()
            self.page.wait_for_function("e => e.dataset.drawn === 'yes'", arg=plot, timeout=20_000)
        return self.page


@pytest.fixture
def opened(browser):
    """opened(path, **context): the page in a context of its own, offline; before: a script that
    runs before those of the page."""
    contexts = []

    def call(path, before="", **settings):
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **settings})
        context.set_offline(True)
        context.add_init_script(before)
        contexts.append(context)
        found = Opened(context)
        found.page.goto(path.as_uri())
        return found

    yield call
    for context in contexts:
        context.close()
