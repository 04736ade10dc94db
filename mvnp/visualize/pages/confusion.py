"""The confusion matrix of a validation as a file: a table or a picture."""

from __future__ import annotations

from pathlib import Path

from ...atomic import write_bytes
from ...errors import InputError
from ...inference import Validation
from ...inference.csv_row import csv_row

OTHER = "(no folder)"  # the column of predictions that are of a class without a folder
ENDINGS = (".csv", ".png")


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
    rows = [csv_row(["", *validation.found.folders, OTHER])]
    for folder, row in zip(validation.found.folders, validation.confusion(), strict=True):
        rows.append(csv_row([folder, *map(int, row)]))
    return "".join(rows).encode("utf-8", "surrogateescape")


def _png(validation: Validation) -> bytes:
    from ..figures.confusion import confusion_matrix
    from ..figures.style import png

    counts, names = validation.confusion(), [*validation.found.folders, OTHER]
    if not counts[:, -1].any():
        counts, names = counts[:, :-1], names[:-1]
    title = f"{validation.right(1) / validation.counted:.1%} of {validation.counted} are right"
    return png(confusion_matrix(counts, names, title))
