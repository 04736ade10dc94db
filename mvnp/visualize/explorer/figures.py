"""The figures on the explorer's page, each under its name, with its docstring's "How to read it" as caption."""

from __future__ import annotations

import base64
import inspect
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from matplotlib.figure import Figure
from PIL import Image, features

from ...backend import Array
from ...models.mambavision import MambaVision
from ..class_evidence import grad_cam, gradient_times_input, mamba_lrp
from ..feature_maps import feature_maps
from ..first_filters import first_filters
from ..gradient_flow import gradient_flow
from ..internals import Internals
from ..receptive_field import receptive_field
from ..scan_state import scan_state
from ..style import png
from ..window_attention import window_attention

PIXELS = 105  # to the inch of a figure: more would only blow up its letters
QUALITY = 85  # of WebP: text and thin lines stay clear, and a figure with a photograph takes half of what it takes as PNG


@dataclass(frozen=True)
class Shown:
    """What is drawn for one model.

    letter          "A: " or "B: " of two models, else nothing
    block, query    what the page begins with
    target          class whose evidence is shown; None: the model's likeliest
    """

    letter: str
    model: MambaVision
    image: Array
    seen: Internals
    block: str
    query: tuple[int, int]
    target: int | None
    classes: Sequence[str] | None


@dataclass(frozen=True)
class Entry:
    """A figure of the page.

    draw       draw(model, image, narrow=…, …) gives the figure, and has a docstring that says how to read it
    alt        what is to be seen, for those who do not see it
    options    the further arguments of `draw`; None in their place where the model has nothing of that kind
    """

    title: str
    draw: Callable[..., Any]
    alt: str
    options: Callable[[Shown], dict[str, Any] | None] = lambda shown: {}


def of_scan(shown: Shown) -> dict[str, Any] | None:
    """The page's first block if it is a mixer, else the first mixer."""
    scans = shown.seen.scans
    return {"block": shown.block if shown.block in scans else next(iter(scans))} if scans else None


def of_attention(shown: Shown) -> dict[str, Any] | None:
    """The page's first block and query if that is an attention block, else the first one and its middle token."""
    attentions = shown.seen.attentions
    if shown.block in attentions:
        return {"block": shown.block, "query": shown.query}
    return {"block": next(iter(attentions))} if attentions else None


def of_class(shown: Shown) -> dict[str, Any] | None:
    return {"target": shown.target, "classes": shown.classes} if shown.model.head is not None else None


def of_target(shown: Shown) -> dict[str, Any] | None:
    return {"target": shown.target} if shown.model.head is not None else None


ENTRIES = (
    Entry("What a scan remembers", scan_state, "path of the scan, size of state and step at each token, all states", of_scan),
    Entry("Attention inside its window", window_attention, "what one token attends to, head by head", of_attention),
    Entry("Receptive fields", receptive_field, "for each stage, how much each pixel matters to the feature in the middle"),
    Entry("Gradient times input", gradient_times_input, "red pixels raise the class's logit, blue ones lower it", of_class),
    Entry("GradCAM", grad_cam, "where the last stage holds what speaks for the class", of_class),
    Entry("MambaLRP", mamba_lrp, "the relevance of each pixel for the class, red for it and blue against it", of_class),
    Entry("Feature maps", feature_maps, "the channels of each stage that vary most over the image"),
    Entry("First filters", first_filters, "kernels of the first convolution, and their answers"),
    Entry("Gradient flow", gradient_flow, "the norm of the logit's gradient at each block", of_target),
)


def figure_list(shown: Sequence[Shown], say: Callable[[str], None]) -> str:
    """All figures as HTML: a <details> for each entry, with a picture for each model."""
    return "\n".join(filter(None, (_details(entry, shown, say) for entry in ENTRIES)))


def how_to_read(draw: Callable[..., Any]) -> str:
    """What the docstring of a figure says under "How to read it", in one paragraph of plain text."""
    found = re.search(r"How to read it\.\s+(.*?)(?:\n\n|\Z)", inspect.getdoc(draw) or "", re.DOTALL)
    assert found is not None, f"the docstring of {draw.__name__} does not say how to read it"
    return re.sub(r"\*([^*]+)\*", r"\1", " ".join(found[1].split()))


def _details(entry: Entry, shown: Sequence[Shown], say: Callable[[str], None]) -> str:
    pictures = list(_pictures(entry, shown, say))
    if not pictures:
        return ""
    return (
        f'<details><summary><h3>{escape(entry.title)}</h3></summary>\n<figure>\n<div class="pair">\n{"".join(pictures)}</div>\n'
        f"<figcaption>{escape(how_to_read(entry.draw))}</figcaption>\n</figure></details>"
    )


def _pictures(entry: Entry, shown: Sequence[Shown], say: Callable[[str], None]) -> Iterator[str]:
    for each in shown:
        options = entry.options(each)
        if options is None:
            continue
        say(f"drawing {each.letter}{entry.title}")
        made = [entry.draw(each.model, each.image, narrow=narrow, **options) for narrow in (False, True)]
        letter = f'<span class="letter">{each.letter.strip(": ")}</span>' if each.letter else ""
        yield f"<div>{letter}{_picture(made[0], made[1], f'{each.letter}{entry.title}: {entry.alt}')}</div>\n"


def _picture(wide: Figure, narrow: Figure, alt: str) -> str:
    """One for a desk and one for a phone; the browser is told their sizes, and keeps the place free."""
    (wide_uri, wide_size), (narrow_uri, narrow_size) = map(_embedded, (wide, narrow))
    return (
        f'<picture><source media="(max-width: 40rem)" srcset="{narrow_uri}" {narrow_size}>'
        f'<img src="{wide_uri}" {wide_size} style="max-width: {PIXELS * wide.get_figwidth():.0f}px" alt="{escape(alt)}">'
        "</picture>"
    )


def _embedded(figure: Figure) -> tuple[str, str]:
    """An address that has the picture within itself, and its size as attributes."""
    kind, content = "png", png(figure)
    with Image.open(io.BytesIO(content)) as opened:
        size = f'width="{opened.width}" height="{opened.height}"'
        if features.check("webp"):
            buffer = io.BytesIO()
            opened.convert("RGB").save(buffer, "WEBP", quality=QUALITY)
            kind, content = "webp", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}", size
