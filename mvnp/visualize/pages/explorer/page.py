"""The page of `mvnp visualize`: one HTML file with its style, its script, its data and its pictures inside.

It asks nothing of any other place, and a Content-Security-Policy in the page forbids that to the browser. The script is put
together from the .js files of this folder, in the order of SCRIPTS; they are plain JavaScript and use no library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ....atomic import make_folder, remove_stale, write_bytes
from ....backend import Array, backend_name
from ....errors import InputError, printable, refusing
from ....layers.softmax import softmax_forward
from ....models.classifier import Classifier
from ....version import __version__
from ...arrays.families import family_of
from ...arrays.internals import internals
from ...arrays.picture import as_picture
from ...arrays.records import Internals
from ...arrays.remember import remembering
from ..report import escaped
from .data import explorer_data
from .figures import Shown, figure_list

PAGE = "visualize.html"
SCRIPTS = ("arrays.js", "windows.js", "draw.js", "token.js", "panels.js", "explorer.js")
LETTERS = "AB"  # what two models are called on the page; explorer.js counts them alike
TOP = 5  # classes that are shown

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Subject:
    """A model that the page is about.

    name       what it is called there: the file of its weights
    model      of any family
    classes    names of its classes; None: they are numbered

    Raises InputError for a model of a family that there are no pictures of.
    """

    name: str
    model: Any
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        family_of(self.model)


@refusing
def write_explorer(
    folder: Path,
    subjects: Sequence[Subject],
    image: Array,
    *,
    name: str = "an image",
    block: str | None = None,
    query: tuple[int, int] | None = None,
    figures: bool = True,
    target: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write visualize.html, about one image (1, C, H, W) and one or two models, into `folder`; the page's path.

    name     of the image
    block    path of the block to begin with, such as 'levels.2.blocks.0'; None: the first
    query    row and column of the token to begin with, on that block's map; None: the middle one
    figures  False: the explorer alone, without the figures below it; quicker, and a smaller page
    target   class whose evidence the figures show; None: the first model's likeliest
    say      is told what is being worked out

    The page is written whole or not at all. Raises InputError where the folder cannot be written to, for a block that there is
    not, a query outside the map, models whose blocks differ, and weights that give no finite numbers.
    """
    if len(subjects) not in (1, 2):
        raise InputError(f"write_explorer: {len(subjects)} models were given, expected one or two")
    make_folder(folder)
    picture, seen = as_picture(image), []
    with remembering():  # what the explorer and the figures, wide and narrow, are drawn from is worked out once
        for subject in subjects:
            say(f"running {subject.name}")
            seen.append(check_finite_logits(subject, image, internals))
        say("working out what each token takes from each")
        data = explorer_data([printable(subject.name) for subject in subjects], seen, picture, block, query)
        drawn = _figures(figure_list(_shown(subjects, image, seen, data, target), say)) if figures else ""
    letters = _letters(subjects)
    papers = " ".join(dict.fromkeys(family_of(subject.model).paper for subject in subjects))
    text = Template(_source("page.html")).substitute(
        kind="several" if len(subjects) > 1 else "single",
        title=escaped(f"Inside {_names(subjects)}: {name}"),
        lead=escaped(_lead(image, len(subjects), data["left_out"], data["every"])),
        grid=_grid(data["blocks"]),
        answers="\n".join(map(_answer, subjects, seen, letters)),
        legend="\n".join(
            f"<li>{letter}{escaped(subject.name)}</li>" for subject, letter in zip(subjects, letters, strict=True)
        ),
        figures=drawn,
        footer=escaped(f"Written by mvnp {__version__}, on {backend_name()}. Model: {papers}"),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),  # so that no name in it can end its element
        style=_source("explorer.css"),
        script="\n".join(map(_source, SCRIPTS)),
    )
    path = folder / PAGE
    remove_stale(path)
    write_bytes(path, text.encode(errors="replace"))  # a file's name need not be UTF-8
    return path


def check_finite_logits(subject: Subject, image: Array, run: Callable[[Classifier, Array], Internals]) -> Internals:
    """What `run` makes of the model and the image. Raises InputError unless its logits are finite."""
    with np.errstate(all="ignore"):  # told better by the check
        seen = run(subject.model, image)
    if not np.isfinite(seen.logits).all():
        raise InputError(
            f"{subject.name} gives no finite numbers for this image: are these weights whole, and of a trained model?"
        )
    return seen


def _shown(
    subjects: Sequence[Subject], image: Array, seen: Sequence[Internals], data: dict[str, Any], target: int | None
) -> list[Shown]:
    """What the figures are drawn from. Two models are asked about one class, the first one's likeliest, where both have it."""
    start = data["start"]
    alike = len({subject.model.num_classes for subject in subjects}) == 1
    if target is None and alike and subjects[0].model.head is not None:
        target = int(seen[0].logits.argmax())
    return [
        Shown(
            letter=letter,
            model=subject.model,
            image=image,
            seen=each,
            paths=data["paths"],
            block=data["paths"][start["block"]],
            query=(start["row"], start["column"]),
            target=target,
            classes=subject.classes,
        )
        for subject, letter, each in zip(subjects, _letters(subjects), seen, strict=True)
    ]


def _figures(listed: str) -> str:
    return (
        "<section>\n<h2>Figures</h2>\n<p>Each opens by a click on its name, or by Tab and the Enter key, and has a scale of its"
        f" own.</p>\n{listed}\n</section>"
    )


def _source(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").rstrip()


def _letters(subjects: Sequence[Subject]) -> list[str]:
    """`A: ` and `B: ` for two models; nothing for one."""
    return [f"{letter}: " for letter in LETTERS] if len(subjects) > 1 else [""]


def _names(subjects: Sequence[Subject]) -> str:
    """The families: MambaVision, or Vim and Vim."""
    return " and ".join(dict.fromkeys(type(subject.model).__name__ for subject in subjects))


def _lead(image: Array, models: int, left_out: Sequence[str], every: int) -> str:
    height, width = image.shape[2:]
    what = "Two models, one image and the same scales" if models > 1 else "One model, one image"
    return (
        f"{what}: what every mixer and every attention layer makes of it. The image is shown as the network sees it,"
        f" {height} by {width} pixels. All numbers are in this file; the page asks nothing of any other place."
        + (f" Too long for a page are the sequences of {', '.join(left_out)}, which it leaves out." if left_out else "")
        + (f" Of the scans' many channels one in {every} is shown." if every > 1 else "")
    )


def _grid(blocks: Sequence[dict[str, Any]]) -> str:
    """Where the tokens of these blocks stand on the picture, in words."""
    outside = any(block["offset"] == 0 for block in blocks)
    return (
        "A token is drawn around the pixel that it is centred on"
        + (
            ", as every convolution of stride 2 begins at pixel 0; so the grid begins half a token outside the picture."
            * outside
        )
        + "." * (not outside)
        + " Lines are the borders of windows, hatched cells their padding." * any(block["P"] for block in blocks)
        + " A cell above the picture is a class token." * any(-1 in (block["order"] or ()) for block in blocks)
    )


def _answer(subject: Subject, seen: Internals, letter: str) -> str:
    """What one model says of the image: its likeliest classes."""
    about = f"{subject.model.parameter_count:,} parameters"
    if subject.model.head is None:
        return f'<div><h2>{letter}{escaped(subject.name)}</h2><p class="reading">{about}; it has no head.</p></div>'
    shares, _ = softmax_forward(seen.logits.astype(np.float64))
    rows = [
        f'<tr><th scope="row">{escaped(class_name(subject, index))}</th><td>{shares[index]:.1%}</td></tr>'
        for index in np.argsort(-seen.logits, kind="stable")[:TOP]
    ]
    return (
        f'<div><h2>{letter}{escaped(subject.name)}</h2><p class="reading">{about}. It says:</p>'
        f"<table><tbody>{''.join(rows)}</tbody></table></div>"
    )


def class_name(subject: Subject, index: int) -> str:
    """The name of a class, or its number."""
    return printable(subject.classes[index]) if subject.classes else f"class {index}"
