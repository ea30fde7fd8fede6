"""The pages under docs/ are doctests; here is what a doctest can't hold."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOUR = ROOT / "docs" / "tour"
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)")
FENCED = re.compile(r"^```.*?^```", re.M | re.S)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")])


def links_of(page):
    return LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8")))


def test_the_index_lists_every_page_in_order():
    listed = [m for m in links_of(TOUR / "README.md") if m.endswith(".md")]
    assert listed == sorted(p.name for p in TOUR.glob("[0-9]*.md"))


def test_every_page_leads_to_the_next():
    pages = sorted(TOUR.glob("[0-9]*.md"))
    for page, following in pairwise(pages):
        assert links_of(page)[-1] == following.name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page):
    links = [link for link in links_of(page) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", sorted(TOUR.glob("[0-9]*.md")), ids=lambda p: p.name)
def test_no_block_of_the_tour_escapes_the_tests(page):
    """A block of code that is no doctest would never be run."""
    text = page.read_text()
    assert "```python" not in text
    assert text.count("```pycon") >= 3
    assert len(re.findall(r"^```", text, re.M)) == 2 * text.count("```pycon")
