"""What can be wrong with a built page, read from its HTML: links, anchors, hosts, alt texts, headings, names of controls.

`read(file)` gives a page as `Page`, `read_all(root)` those of a site; `problems(root, pages)` says all that is wrong, a
line each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
CSS_ADDRESS = re.compile(r"(?:url\(|@import)\s*['\"]?([^'\")\s]+)")


@dataclass
class Element:
    """A tag with its attributes, the text inside, and what it stands in."""

    tag: str
    attributes: dict[str, str]
    line: int
    parents: tuple[Element, ...] = ()
    text: str = ""

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")

    @property
    def name(self) -> str:
        """What a screen reader says."""
        return (self.get("aria-label") or self.get("title") or self.get("alt") or self.text).strip()

    def inside(self, tag: str) -> bool:
        return any(parent.tag == tag for parent in self.parents)


@dataclass
class Page:
    """A built page: its elements in order."""

    path: Path
    elements: list[Element] = field(default_factory=list)

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self.elements if element.tag in tags]

    @property
    def ids(self) -> list[str]:
        return [element.get("id") for element in self.elements if element.get("id")]


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page, self.open = page, []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        element = Element(tag, {name: value or "" for name, value in attributes}, self.getpos()[0], tuple(self.open))
        self.page.elements.append(element)
        for parent in self.open:
            parent.text += element.get("alt") or element.get("aria-label")
        if tag not in EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self.open):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, text: str) -> None:
        for element in self.open:
            element.text += text


def read(path: Path) -> Page:
    """A page from its file."""
    page = Page(path)
    reader = _Reader(page)
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    return page


def read_all(root: Path) -> dict[Path, Page]:
    """All pages below a folder, by their paths."""
    return {path.resolve(): read(path.resolve()) for path in sorted(root.rglob("*.html"))}


def problems(root: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Everything wrong with the pages of the site below `root`."""
    anchors = {path: {*page.ids, *(element.get("name") for element in page.all("a"))} for path, page in pages.items()}
    for path, page in pages.items():
        for check in (foreign_hosts, figures_without_words, headings, doubled_ids, controls):
            yield from (f"{path.relative_to(root.resolve())}, {problem}" for problem in check(page))
        for problem in broken_links(page, anchors):
            yield f"{path.relative_to(root.resolve())}, {problem}"
    for sheet in sorted(root.rglob("*.css")):
        for address in CSS_ADDRESS.findall(sheet.read_text(encoding="utf-8")):
            if _host(address):
                yield f"{sheet.relative_to(root)}: asks {_host(address)} for {address}"
            elif not address.startswith(("data:", "#")) and not (sheet.parent / urlsplit(address).path).exists():
                yield f"{sheet.relative_to(root)}: there is no {address}"


def broken_links(page: Page, anchors: dict[Path, set[str]]) -> Iterator[str]:
    """Links to files that are not there, and to anchors that no element has."""
    for element in page.elements:
        for address in filter(None, (element.get("href"), element.get("src"), element.get("xlink:href"))):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or parts.path.startswith("/"):
                if parts.path.startswith("/") and not parts.netloc:
                    yield f"line {element.line}: {address} begins at the root, which a site in a folder has not"
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
            if not target.is_file():
                yield f"line {element.line}: there is no file for {address}"
            elif parts.fragment and target in anchors and unquote(parts.fragment) not in anchors[target]:
                yield f"line {element.line}: there is no anchor for {address}"


def foreign_hosts(page: Page) -> Iterator[str]:
    """Resources that the browser would fetch from elsewhere. Links that a reader may follow are no resources."""
    for element in page.elements:
        addresses = [element.get(name) for name in ("src", "srcset", "data", "poster", "action", "xlink:href")]
        if element.tag in ("link", "use", "image"):
            addresses.append(element.get("href"))
        addresses += CSS_ADDRESS.findall(element.get("style"))
        addresses += CSS_ADDRESS.findall(element.text) if element.tag == "style" else []
        yield from (f"line {element.line}: <{element.tag}> asks {_host(one)}" for one in addresses if _host(one))


def figures_without_words(page: Page) -> Iterator[str]:
    """Pictures that a screen reader can say nothing about."""
    for element in page.all("img"):
        if not element.get("alt").strip():
            yield f"line {element.line}: <img> {element.get('src')} has no alt text"
    for element in page.all("svg"):
        if element.inside("figure") and not (element.get("role") == "img" and element.get("aria-label").strip()):
            yield f"line {element.line}: <svg> in a figure without role and aria-label"


def headings(page: Page) -> Iterator[str]:
    """One heading of the first level, none of a level that the one above it is not next to."""
    found = page.all("h1", "h2", "h3", "h4", "h5", "h6")
    levels = [int(element.tag[1]) for element in found]
    if levels.count(1) != 1:
        yield f"line 1: {levels.count(1)} headings of the first level"
    for element, level, before in zip(found, levels, [0, *levels], strict=False):
        if level > before + 1:
            yield f"line {element.line}: after a heading of level {before}, {element.text.strip()!r} has level {level}"


def doubled_ids(page: Page) -> Iterator[str]:
    """Ids that two elements share: a link goes to the first alone."""
    yield from (
        f"line 1: the id {one} is given {page.ids.count(one)} times" for one in sorted(set(page.ids)) if page.ids.count(one) > 1
    )


def controls(page: Page) -> Iterator[str]:
    """What a keyboard reaches must have a name, and an order of its own would confuse; the page must say its language."""
    if not any(element.get("lang") for element in page.all("html")):
        yield "line 1: <html> has no lang"
    for element in page.all("a", "button", "input", "select", "textarea"):
        if element.tag == "a" and not element.get("href"):
            continue
        labelled = element.get("id") in {label.get("for") for label in page.all("label")} - {""}
        hidden = element.get("type") in ("hidden", "checkbox") and element.get("class").startswith("sidebar-toggle")
        named = element.name or element.get("placeholder") or element.get("value") or labelled
        if not named and not hidden and "hidden" not in element.attributes and element.get("type") != "hidden":
            yield f"line {element.line}: <{element.tag}> has no name: {element.attributes}"
        if re.fullmatch(r"[1-9]\d*", element.get("tabindex")):
            yield f"line {element.line}: <{element.tag}> has tabindex {element.get('tabindex')}"


def _host(address: str) -> str:
    """The host that an address names, if it is not this site."""
    parts = urlsplit(address.strip())
    return parts.netloc or (f"{parts.scheme}:" if parts.scheme and parts.scheme not in ("data", "mailto") else "")
