"""One order everywhere: package, pages and exercises; and how much there is to read before the scan."""

from __future__ import annotations

import re
from pathlib import Path

from mvnp.learn import EXERCISES

DOCS = Path(__file__).parents[2] / "docs"
SHORT = {"big_picture.md": None, "notation.md": None, "layers/softplus.md": None, "layers/linear_recurrence.md": "## Four ways"}


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


def words(text):
    """But for figures and what is said in place of them."""
    return len(re.sub(r"```.*?```", "", text, flags=re.DOTALL).split())


def test_exercises_are_in_the_order_of_the_pages():
    """tests/test_rooms.py holds the order of the package to the same list."""
    pages = re.search(r":hidden:\n\n(.*?)```", text_of("layers/index.md"), re.DOTALL)[1].split()
    assert [exercise.stem for exercise in EXERCISES] == pages


def test_the_short_path_is_short():
    """It names its pages in order, and up to the scan's first equation there are less than 4,000 words."""
    path = text_of("big_picture.md").partition("**The short path**")[2].partition("**The long path**")[0]
    assert re.findall(r"\]\((\S+?\.md)\)", path) == [*list(SHORT)[1:], "layers/selective_scan.md"]
    read = sum(words(text_of(page).partition(end)[0] if end else text_of(page)) for page, end in SHORT.items())
    scan = text_of("layers/selective_scan.md")
    assert all(end in text_of(page) for page, end in SHORT.items() if end)
    assert read + words(scan.partition("$$")[0]) < 4000


def test_the_big_picture_is_a_page():
    assert 500 < words(text_of("big_picture.md")) < 750
