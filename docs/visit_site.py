"""Opens every page of a built site in Chromium: python docs/visit_site.py docs/_build/html [--pictures FOLDER]

As a reader at a desk, at a desk in the dark, and with a phone. Nothing may stand in the console, nothing may be asked from
another host, no page may be wider than its window, and the first thing that the Tab key reaches is the way past the menus. Then
the search has to find the right pages first. --pictures keeps what was seen as PNG files.

The exit status is 1 where something is wrong. Without Chromium, says so, and ends with 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.browser import Browser, find_chromium

# What the window is called, its width, whether its reader prefers the dark.
WINDOWS = (("desk", 1280, False), ("dark", 1280, True), ("phone", 390, False))
TOO_WIDE = """(() => {
    const wide = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= wide) return "";
    const guilty = [...document.querySelectorAll("article *")].filter((one) => one.getBoundingClientRect().right > wide + 1);
    return guilty.slice(0, 3).map((one) => `<${one.tagName.toLowerCase()} class="${one.className}">`).join(", ") || "the page";
})()"""

# Figures and tables keep to the width of prose; code may need more.
WIDER = """(() => {
    const article = document.querySelector("article");
    const prose = article ? 46 * parseFloat(getComputedStyle(article).fontSize) : Infinity;
    const all = [...document.querySelectorAll("article :is(.table-wrapper, figure)")];
    const guilty = all.filter((one) => one.offsetWidth > prose + 1);
    return guilty.slice(0, 3).map((one) => `<${one.tagName.toLowerCase()} class="${one.className}">`).join(", ");
})()"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the built site")
    parser.add_argument("--pictures", type=Path, help="folder for what was seen")
    arguments = parser.parse_args()
    pages = sorted(arguments.root.rglob("*.html"))
    if not pages:
        print(f"{arguments.root}: no pages; build the site first", file=sys.stderr)
        return 2
    if find_chromium() is None:
        print("no Chromium here: the pages were not opened; install chromium, or set CHROMIUM to one")
        return 0
    found = []
    for name, width, dark in WINDOWS:
        with Browser(width, 900, dark=dark) as browser:
            for page in pages:
                where = page.relative_to(arguments.root)
                found += [f"{where}, {name}: {problem}" for problem in visit(browser, page)]
                if arguments.pictures:
                    arguments.pictures.mkdir(parents=True, exist_ok=True)
                    browser.screenshot(arguments.pictures / f"{'-'.join(where.with_suffix('').parts)}-{name}.png")
            found += [f"search, {name}: {problem}" for problem in search(browser, arguments.root)]
    for problem in found:
        print(problem)
    print(f"{len(pages)} pages in {len(WINDOWS)} windows of Chromium: {f'{len(found)} problems' if found else 'all well'}")
    return 1 if found else 0


def visit(browser: Browser, page: Path) -> Iterator[str]:
    """Open a page; what is wrong with it."""
    browser.errors.clear()
    browser.requests.clear()
    go(browser, page.absolute().as_uri())
    yield from (f"in the console: {error}" for error in browser.errors)
    yield from (f"asks for {address}" for address in browser.requests if not address.startswith(("file:", "data:", "about:")))
    if wide := browser.run(TOO_WIDE):
        yield f"wider than its window, by {wide}"
    if wide := browser.run(WIDER):
        yield f"wider than prose: {wide}"
    if "_static" in page.parts:  # of mvnp visualize: no page of the theme
        return
    browser.press("Tab")
    first = browser.run("document.activeElement?.textContent || ''").strip()
    if first != "Skip to content":
        yield f"the Tab key goes first to {first[:40]!r}, and not to the way past the menus"


# What a reader types, and the page that is to come first: a page about the thing.
SEARCHES = {
    "adjoint recursion": "layers/selective_scan",
    "layernorm_backward": "layers/layernorm",
    "zero-order hold": "layers/selective_scan",
    "padding": "quirks",
    "gpu": ("gpu", "kernels"),
    "hidden attention": "look_inside",
    "work-efficient": "layers/linear_recurrence",
    "window": "layers/window",
}


def search(browser: Browser, root: Path) -> Iterator[str]:
    """Words from a derivation, the name of a function in a source, words that a page is about; each with an excerpt."""
    for words, expected in SEARCHES.items():
        go(browser, f"{(root / 'search.html').absolute().as_uri()}?q={words.replace(' ', '+')}")
        browser.until("/found|did not match/.test(document.querySelector('#search-results')?.textContent)")
        browser.settle()
        links = browser.run("[...document.querySelectorAll('#search-results li > a')].map((one) => one.href)")
        pages = [expected] if isinstance(expected, str) else expected
        if not links or not any(f"/{page}.html" in links[0] for page in pages):
            yield f"{words!r} finds {links[:5]}, expected the page {' or '.join(pages)} first"
        if not browser.run("!!document.querySelector('#search-results li p.context')?.textContent.trim()"):
            yield f"{words!r}: results have no excerpts"


def go(browser: Browser, address: str) -> None:
    browser("Page.navigate", url=address)
    browser.until(f"document.readyState === 'complete' && location.href.startsWith({address!r})")
    browser.settle()


if __name__ == "__main__":
    sys.exit(main())
