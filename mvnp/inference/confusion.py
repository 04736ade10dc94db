"""The confusion matrix as a table or a picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from ..atomic import write_bytes
from ..errors import InputError
from .validate import Validation

OTHER = "(no folder)"  # the column of predictions that are of a class without a folder
ENDINGS = (".csv", ".png")

_LABELLED = 40  # up to so many classes their names are written beside the picture
_NUMBERED = 15  # and up to so many the counts into it


def check_confusion_file(path: Path) -> None:
    """Raise InputError unless the name ends in .csv or .png, and its folder is there."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"the confusion matrix is written to a .csv or a .png file, and {path} is neither by its name")
    if not path.absolute().parent.is_dir():
        raise InputError(f"there is no folder {path.parent} to write {path.name} to; make it first")


def write_confusion(path: Path, validation: Validation) -> None:
    """Rows are what the pictures are, columns what they were taken for. Written whole or not at all."""
    write_bytes(path, _csv(validation) if path.suffix.lower() == ".csv" else _png(validation))


def _csv(validation: Validation) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["", *validation.found.folders, OTHER])
    for folder, row in zip(validation.found.folders, validation.confusion(), strict=True):
        writer.writerow([folder, *map(int, row)])
    return stream.getvalue().encode("utf-8")


def _png(validation: Validation) -> bytes:
    from ..visualize.style import INK, SEQUENTIAL, add_colorbar, new_figure, png, set_labels

    counts = validation.confusion()
    if not counts[:, -1].any():
        counts = counts[:, :-1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [*validation.found.folders, OTHER][: counts.shape[1]]
    side = min(4.0 + 0.25 * len(counts), 9.6)
    figure = new_figure(side + 1.0, side, f"{validation.right(1) / validation.counted:.1%} of {validation.counted} are right")
    axes = figure.subplots()
    mappable = axes.imshow(shares, cmap=SEQUENTIAL, vmin=0.0, vmax=1.0, interpolation="nearest")
    set_labels(axes, "", x="taken for", y="are")
    if len(counts) <= _LABELLED:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(counts)), names[: len(counts)])
    if len(counts) <= _NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] < 0.6 else INK
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    add_colorbar(figure, mappable, axes, "share of the class")
    return png(figure)
