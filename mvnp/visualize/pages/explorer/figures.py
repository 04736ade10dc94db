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
from PIL import Image, ImageSequence, features

from ....backend import Array
from ....models.classifier import Classifier
from ...arrays.geometry import WindowGeometry
from ...arrays.internals import level_of
from ...arrays.records import Internals
from ...figures.attention_entropy import attention_entropy
from ...figures.class_evidence import grad_cam, gradient_times_input, mamba_lrp
from ...figures.feature_maps import feature_maps
from ...figures.first_filters import first_filters
from ...figures.gradient_flow import gradient_flow
from ...figures.hidden_attention import hidden_attention_groups, hidden_attention_map, hidden_attention_matrix
from ...figures.receptive_field import receptive_field
from ...figures.scan_state import scan_state
from ...figures.state_animation import state_animation
from ...figures.style import pixels, png
from ...figures.timescales import timescales
from ...figures.token_to_token import attention_rollout, token_to_token
from ...figures.window_attention import window_attention
from ...figures.window_grid import window_grid
from ..report import escaped

PIXELS = 105  # to the inch of a figure
# Of WebP: text and thin lines stay clear; a figure with a photograph takes half of what it takes as PNG, an animation a fifth
# of what it takes as GIF.
QUALITY = 80


@dataclass(frozen=True)
class Shown:
    """What is drawn for one model.

    letter          "A: " or "B: " of two models, else nothing
    paths           of all mixers and attention layers, first to last
    block, query    what the page begins with
    target          class whose evidence is shown; None: the model's likeliest
    """

    letter: str
    model: Classifier
    image: Array
    seen: Internals
    paths: Sequence[str]
    block: str
    query: tuple[int, int]
    target: int | None
    classes: Sequence[str] | None


@dataclass(frozen=True)
class Entry:
    """A figure of the page.

    draw       draw(model, image, narrow=…, …) gives the figure, or the bytes of a GIF, and its docstring says how to read it
    alt        what is to be seen, for those who do not see it
    options    the further arguments of `draw`; None in their place where the model has nothing of that kind
    """

    title: str
    draw: Callable[..., Figure | bytes]
    alt: str
    options: Callable[[Shown], dict[str, Any] | None] = lambda shown: {}


def of_scan(shown: Shown) -> dict[str, Any] | None:
    """The page's first block if it is a mixer, else the first mixer."""
    scans = shown.seen.scans
    return {"block": shown.block if shown.block in scans else next(iter(scans))} if scans else None


def of_attention(shown: Shown) -> dict[str, Any] | None:
    """The page's first block if it is one with attention, else the first such block."""
    attentions = shown.seen.attentions
    return {"block": shown.block if shown.block in attentions else next(iter(attentions))} if attentions else None


def of_query(choose: Callable[[Shown], dict[str, Any] | None]) -> Callable[[Shown], dict[str, Any] | None]:
    """The block that `choose` gives, with the page's first query where that is on its map."""

    def options(shown: Shown) -> dict[str, Any] | None:
        chosen = choose(shown)
        on_its_map = chosen is not None and _level(shown, chosen["block"]) == _level(shown, shown.block)
        return {**chosen, "query": shown.query} if chosen is not None and on_its_map else chosen

    return options


def of_level(shown: Shown) -> dict[str, Any] | None:
    """The last block of the level that the page begins with; nothing where its blocks do not follow one another."""
    inside = [scans[0].tokens for path, scans in shown.seen.routes.items() if _level(shown, path) == _level(shown, shown.block)]
    if len(set(inside)) > 1:
        return None
    return {"block": [path for path in shown.paths if _level(shown, path) == _level(shown, shown.block)][-1]}


def of_class(shown: Shown) -> dict[str, Any] | None:
    return {"target": shown.target, "classes": shown.classes} if shown.model.head is not None else None


def of_target(shown: Shown) -> dict[str, Any] | None:
    return {"target": shown.target} if shown.model.head is not None else None


def of_windows(shown: Shown) -> dict[str, Any] | None:
    """Nothing where there are none."""
    return {} if any(isinstance(windows, WindowGeometry) for windows in shown.seen.windows.values()) else None


def _level(shown: Shown, path: str) -> str:
    return level_of(path, shown.seen.windows)


ENTRIES = (
    Entry("Windows", window_grid, "the windows of each level over the image, and their padding", of_windows),
    Entry("What a scan remembers", scan_state, "path of the scan, size of state and step at each token, all states", of_scan),
    Entry(
        "A scan in motion", state_animation, "the state of each token as the scan reads it, and all states", of_query(of_scan)
    ),
    Entry("Timescales", timescales, "how many tokens each state remembers", of_scan),
    Entry("Hidden attention: a window", hidden_attention_matrix, "what each token takes from each", of_query(of_scan)),
    Entry("Hidden attention: a token", hidden_attention_map, "what one token takes and gives", of_query(of_scan)),
    Entry("Hidden attention: channels", hidden_attention_groups, "the same for groups of channels", of_query(of_scan)),
    Entry("Attention in its window", window_attention, "what one token attends to, head by head", of_query(of_attention)),
    Entry(
        "Entropy of attention", attention_entropy, "how spread out the weights of each token are, head by head", of_attention
    ),
    Entry("Token to token", token_to_token, "what each token takes from each, block by block", of_query(of_level)),
    Entry("Rollout", attention_rollout, "what has come together in one token, block after block", of_query(of_level)),
    Entry("Receptive fields", receptive_field, "for each stage, how much each pixel matters to the feature in the middle"),
    Entry("Gradient times input", gradient_times_input, "red pixels raise the class's logit, blue ones lower it", of_class),
    Entry("GradCAM", grad_cam, "where a late stage holds what speaks for the class", of_class),
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
        f"<details><summary><h3>{escaped(entry.title)}</h3></summary>\n"
        f'<figure>\n<div class="pair">\n{"".join(pictures)}</div>\n'
        f"<figcaption>{escape(how_to_read(entry.draw))}</figcaption>\n</figure></details>"
    )


def _pictures(entry: Entry, shown: Sequence[Shown], say: Callable[[str], None]) -> Iterator[str]:
    for each in shown:
        options = entry.options(each)
        if options is None:
            continue
        say(f"drawing {each.letter}{entry.title}")
        wide, narrow = (entry.draw(each.model, each.image, narrow=narrow, **options) for narrow in (False, True))
        letter = f'<span class="letter">{each.letter.strip(": ")}</span>' if each.letter else ""
        yield f"<div>{letter}{_picture(wide, narrow, f'{each.letter}{entry.title}: {entry.alt}')}</div>\n"


def _picture(wide: Figure | bytes, narrow: Figure | bytes, alt: str) -> str:
    """One for a desk and one for a phone. Who wants no motion gets the last frame of what moves."""
    sources = []
    for media, made in (("(max-width: 40rem)", narrow), ("", wide)):
        if isinstance(made, bytes):
            still = " and ".join(filter(None, [media, "(prefers-reduced-motion: reduce)"]))
            sources.append(f'<source media="{still}" srcset="{_uri(_last_frame(made))}" {_size(made)}>')
        if media:
            content = _content(made)
            sources.append(f'<source media="{media}" srcset="{_uri(content)}" {_size(content)}>')
    content = _content(wide)
    return (
        f"<picture>{''.join(sources)}"
        f'<img src="{_uri(content)}" {_size(content)} style="max-width: {_width(wide):.0f}px" alt="{escaped(alt)}"></picture>'
    )


def _width(made: Figure | bytes) -> float:
    """How wide it is shown at most: more would only blow up its letters."""
    if isinstance(made, bytes):
        with Image.open(io.BytesIO(made)) as opened:
            return opened.width
    return PIXELS * made.get_figwidth()


def _content(made: Figure | bytes) -> bytes:
    if isinstance(made, bytes):
        return _compressed(made)
    return _webp([Image.fromarray(pixels(made))]) if features.check("webp") else png(made)


def _last_frame(gif: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(gif)) as opened:
        opened.seek(getattr(opened, "n_frames", 1) - 1)
        opened.convert("RGB").save(buffer, "PNG")
    return _compressed(buffer.getvalue())


def _compressed(content: bytes) -> bytes:
    """A PNG, or a GIF with all its frames, as WebP, where Pillow knows that."""
    if not features.check("webp"):
        return content
    with Image.open(io.BytesIO(content)) as opened:
        duration = opened.info.get("duration", 0)
        return _webp([frame.convert("RGB") for frame in ImageSequence.Iterator(opened)], duration)


def _webp(frames: list[Image.Image], duration: int = 0) -> bytes:
    first, *others = frames
    buffer = io.BytesIO()
    moving = {"save_all": True, "append_images": others, "duration": duration, "loop": 0} if others else {}
    first.save(buffer, "WEBP", quality=QUALITY, **moving)
    return buffer.getvalue()


def _uri(content: bytes) -> str:
    """An address that has the picture within itself."""
    with Image.open(io.BytesIO(content)) as opened:
        kind = str(opened.format).lower()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _size(content: bytes) -> str:
    """The size as attributes, for which a browser keeps the place free."""
    with Image.open(io.BytesIO(content)) as opened:
        return f'width="{opened.width}" height="{opened.height}"'
