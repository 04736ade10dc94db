"""What a network sees of pictures in training: each as it is stored, and as it is changed for some steps."""

from __future__ import annotations

import re
from textwrap import wrap

import numpy as np
from matplotlib.figure import Figure

from ...errors import printable, refusing
from ..arrays.augmented import Augmented
from .style import INK, MUTED, NARROW, WIDE, new_figure, plain

LETTER = 0.06  # inches, of the labels
SHARE = re.compile(r"(?<=\d\.\d\d), ")  # between two classes with their shares


@refusing
def augmented_pictures(shown: Augmented, *, narrow: bool = False) -> Figure:
    """A row for each picture of `mvnp.visualize.augmented`: as it is stored, and as the network sees it.

    narrow    laid out for a phone: fewer columns

    How to read it. *Left*: the picture as it is stored. *To the right*: the same in other epochs, cut, turned, tinted, mixed
    with another and with a box of noise, as it happens. Below each stands what the network is told that it shows.
    """
    columns = 1 + min(len(shown.seen[0]), 3 if narrow else len(shown.seen[0]))
    width = NARROW if narrow else WIDE
    # Of two classes a line each, none wider than its picture.
    letters = int(width / columns / LETTER)
    below = [["\n".join(_lines(name, letters)) for name in labels] for labels in shown.labels]
    lines = 1 + max(name.count("\n") for labels in below for name in labels)
    figure = new_figure(width, 0.5 + len(shown.stored) * (width / columns + 0.1 * lines), "What the network sees")
    panels = figure.subplots(len(shown.stored), columns, squeeze=False)
    for row, stored, seen, labels in zip(panels, shown.stored, shown.seen, below, strict=True):
        for panel, picture, name in zip(row, [stored, *seen], ["stored", *labels], strict=False):
            panel.set_xticks([])
            panel.set_yticks([])
            panel.imshow(np.clip(picture, 0, 1), interpolation="nearest")
            panel.set_xlabel(name, fontsize=7, color=INK if name == "stored" else MUTED, labelpad=2)
            for spine in panel.spines.values():
                spine.set_visible(False)
    return figure


def _lines(name: str, letters: int) -> list[str]:
    return [plain(line) for each in SHARE.split(printable(name)) for line in wrap(each, letters)]
