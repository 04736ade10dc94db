"""The figure of what a validation took for what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import INK, SEQUENTIAL, add_colorbar, new_figure, plain, set_labels

LABELLED = 40  # up to so many classes their names are written beside the picture
NUMBERED = 15  # and up to so many the counts into it


def confusion_matrix(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Counts (rows, columns): a row for each class that pictures are of, a column for each that they were taken for.

    names    of the columns; the first of them are those of the rows

    How to read it. The lighter a field, the larger the share of its row: of the pictures of that class. A model that is always
    right fills the diagonal; a light field beside it is a class that is taken for another.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(4.0 + 0.25 * len(counts), 9.6)
    figure = new_figure(side + 1.0, side, title)
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap=SEQUENTIAL, vmin=0.0, vmax=1.0, interpolation="nearest")
    set_labels(axes, "", x="taken for", y="are")
    names = list(map(plain, names))
    if len(counts) <= LABELLED:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(counts)), names[: len(counts)])
    if len(counts) <= NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] < 0.6 else INK
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    add_colorbar(figure, drawn, axes, "share of the class")
    return figure
