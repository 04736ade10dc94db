"""Images, what the model takes them for, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...backend import Array
from ...errors import InputError, printable, refusing
from ...models.classifier import Classifier
from ..arrays.picture import as_picture
from ..arrays.sample_predictions import predict
from .style import INK, NARROW, ORANGE, WIDE, new_figure

_SIDE, _CELL = 0.92, 1.48  # of an image, and of an image with its text, where columns are 1 apart


@refusing
def sample_predictions(
    model: Classifier, images: Array, labels: np.ndarray, classes: Sequence[str], *, narrow: bool = False
) -> Figure:
    """Images (B, C, H, W) with the predicted class, its probability and, where it is another, the true class.

    labels    integers (B,), positions in `classes`

    How to read it. Above each image stands what the model says and how sure it is: the softmax of its logits. A mistake
    has a cross, a thick frame, and the true class in a second line. The probabilities of a network are often too high:
    compare how sure it is where it is wrong.
    """
    if len(images) != len(labels) or len(labels) == 0:
        raise InputError(f"sample_predictions: {len(images)} images and {len(labels)} labels, expected one for each, and some")
    probabilities = predict(model, images)
    said, true = probabilities.argmax(axis=1), np.asarray(labels)
    columns = 3 if narrow else 8
    rows = math.ceil(len(true) / columns)
    width = NARROW if narrow else WIDE
    title = f"{int((said == true).sum())} of {len(true)} images classified correctly"
    figure = new_figure(width, 0.4 + rows * width / columns * _CELL, title)
    # One panel for all: a unit square for each image, and room for three lines of text above it.
    panel = figure.subplots()
    panel.set_axis_off()
    for index in range(len(true)):
        sure, name = f"{probabilities[index, said[index]]:.0%}", _short(classes[said[index]])
        right = said[index] == true[index]
        lines = [f"✓ {sure}", name] if right else [f"✗ {sure}", name, f"is {_short(classes[true[index]])}"]
        corner = (index % columns, index // columns * _CELL + _CELL - 1.02)
        _draw_sample(panel, corner, as_picture(images[index : index + 1]), lines, bool(right))
    panel.set_xlim(-0.03, columns - 1 + _SIDE + 0.03)
    panel.set_ylim(rows * _CELL, 0)
    return figure


def _draw_sample(panel: Axes, corner: tuple[float, float], picture: np.ndarray, lines: list[str], right: bool) -> None:
    left, top = corner
    shades = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    panel.imshow(shades, extent=(left, left + _SIDE, top + _SIDE, top), aspect="auto")
    if not right:
        panel.add_patch(Rectangle(corner, _SIDE, _SIDE, fill=False, edgecolor=ORANGE, linewidth=4.0))
    # Class names are the user's: a dollar sign in one is no mathematics.
    panel.text(
        left, top - 0.04, "\n".join(lines), va="bottom", fontsize=8, linespacing=1.25, parse_math=False,
        color=INK if right else ORANGE, fontweight="normal" if right else "bold",
    )  # fmt: skip


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= 12 else f"{name[:11]}…"
