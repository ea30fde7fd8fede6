"""What the tests of pages share: a page that must ask for nothing, and an audit by axe."""

from __future__ import annotations

from contextlib import contextmanager


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


def serious(axe, page):
    """What axe finds that is serious or critical, as texts."""
    found = axe(page)["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:120]} {v['nodes'][0]['failureSummary']}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
