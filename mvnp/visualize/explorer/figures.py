"""The figures on the explorer's page, each under its name, with its docstring's "How to read it" as caption."""

from __future__ import annotations

import base64
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from matplotlib.figure import Figure

from ...backend import Array
from ...models.mambavision import MambaVision
from ..internals import Internals
from ..scan_state import scan_state
from ..style import png
from ..window_attention import window_attention


@dataclass(frozen=True)
class Entry:
    """A figure of the page.

    title, alt    alt says what is to be seen, for those who do not see it
    draw          draw(model, image, …) gives the figure, and has a docstring that says how to read it
    of            "scan" or "attention": drawn for the first such block; "": for the whole model
    """

    title: str
    draw: Callable[..., Figure]
    alt: str
    of: str = ""


ENTRIES = (
    Entry("What the scan remembers", scan_state, "the scan's path, state sizes, step sizes, and all states along the scan", "scan"),
    Entry("Attention inside its window", window_attention, "what one token attends to, head by head", "attention"),
)


def how_to_read(draw: Callable[..., Figure]) -> str:
    """What the docstring of a figure says under "How to read it", in one paragraph of plain text."""
    text = inspect.getdoc(draw) or ""
    found = re.search(r"How to read it\.\s+(.*?)(?:\n\n|\Z)", text, re.DOTALL)
    assert found is not None, f"the docstring of {draw.__name__} does not say how to read it"
    return re.sub(r"\*([^*]+)\*", r"\1", " ".join(found[1].split()))


def data_uri(kind: str, content: bytes) -> str:
    """Bytes as an address that a page can have within itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def figure_list(subjects: Sequence[Any], letters: Sequence[str], image: Array, data: dict[str, Any], say: Callable[[str], None]) -> str:
    """All figures as HTML: a <details> for each entry, with a picture of each model."""
    return "\n".join(_details(entry, subjects, letters, image, data, say) for entry in ENTRIES)


def _details(
    entry: Entry, subjects: Sequence[Any], letters: Sequence[str], image: Array, data: dict[str, Any], say: Callable[[str], None]
) -> str:
    say(f"drawing: {entry.title}")
    pictures = [_picture(entry, subject.model, letter, image) for subject, letter in zip(subjects, letters, strict=True)]
    return (
        f"<details><summary><h3>{escape(entry.title)}</h3></summary>\n<figure>\n<div class=\"pair\">{''.join(pictures)}</div>\n"
        f"<figcaption>{escape(how_to_read(entry.draw))}</figcaption>\n</figure></details>"
    )


def _picture(entry: Entry, model: MambaVision, letter: str, image: Array) -> str:
    wide, narrow = (data_uri("png", png(entry.draw(model, image, narrow=narrow))) for narrow in (False, True))
    return (
        f'<div>{f"<span class=letter>{letter}</span>" if letter else ""}<picture>'
        f'<source media="(max-width: 40rem)" srcset="{narrow}"><img src="{wide}" alt="{escape(letter + entry.alt)}" loading="lazy">'
        "</picture></div>"
    )
