"""A page of pictures: index.html and its PNG files, for any browser, with no network.

The page is plain HTML with its style inside (report.html): no script, nothing from another place. It follows the reader's
choice of light or dark. Each picture has a second version for narrow screens, since a wide one would only shrink there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from matplotlib.figure import Figure

from ...atomic import remove_stale, write_bytes
from ...errors import printable, refusing
from ..figures.style import png

PAGE, PICTURES = "index.html", "pictures"

_TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True)
class Picture:
    """A figure on a page.

    name      of its files, without extension
    wide      for a desk; `narrow` for a phone
    alt       what is to be seen, for those who do not see it
    reading   how to read it: the text below the picture
    """

    name: str
    wide: Figure
    narrow: Figure
    alt: str
    reading: str


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs, pictures, and commands to type."""

    heading: str
    paragraphs: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    commands: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """All that a page says, in plain text on single lines: it is escaped when it is written.

    lead     the paragraph under the title
    facts    (number, what it counts), shown large
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    footer: str


@refusing
def write_page(folder: Path, page: Page) -> Path:
    """Write index.html and the pictures into `folder`, which is made where it is missing; the page's path.

    Each file is written whole or not at all, and the page last, so that it never names a picture that is not there.
    Raises OSError where the folder cannot be written to.
    """
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escaped(page.title),
        lead=escaped(page.lead),
        facts="\n".join(f"<div><dt>{escaped(what)}</dt><dd>{escaped(number)}</dd></div>" for number, what in page.facts),
        sections="\n".join(_section(folder, section) for section in page.sections),
        footer=escaped(page.footer),
    )
    _write(folder / PAGE, text.encode())
    return folder / PAGE


def escaped(text: str) -> str:
    """Text on a page, wherever it comes from: as text, and with its control characters as escapes."""
    return escape(printable(text))


def _section(folder: Path, section: Section) -> str:
    parts = [f"<h2>{escaped(section.heading)}</h2>"]
    parts += [f"<p>{escaped(text)}</p>" for text in section.paragraphs]
    parts += [_figure(folder, picture) for picture in section.pictures]
    if section.commands:
        parts.append(f"<pre><code>{chr(10).join(map(escaped, section.commands))}</code></pre>")
    return "\n".join(["<section>", *parts, "</section>"])


def _figure(folder: Path, picture: Picture) -> str:
    wide = _attributes(folder, picture.name, picture.wide)
    narrow = _attributes(folder, f"{picture.name}-narrow", picture.narrow)
    return (
        "<figure>\n<picture>\n"
        f'<source media="(max-width: 40rem)" srcset="{narrow[0]}" {narrow[1]}>\n'
        f'<img src="{wide[0]}" {wide[1]} alt="{escaped(picture.alt)}">\n'
        f"</picture>\n<figcaption>{escaped(picture.reading)}</figcaption>\n</figure>"
    )


def _attributes(folder: Path, name: str, figure: Figure) -> tuple[str, str]:
    """Writes a picture; its address on the page, and its size, for which a browser keeps the place free."""
    data = png(figure)
    _write(folder / PICTURES / f"{name}.png", data)
    # A PNG begins with its signature, 8 bytes, and the chunk IHDR, whose data begin with width and height.
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    return f"{PICTURES}/{name}.png", f'width="{width}" height="{height}"'


def _write(path: Path, data: bytes) -> None:
    remove_stale(path)
    write_bytes(path, data)
