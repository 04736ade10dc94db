"""Rows of a CSV file that a spreadsheet shows as they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from ..errors import printable

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute if a cell began with it


def csv_row(cells: Iterable[object]) -> str:
    """One row, with its line end. A text that a spreadsheet would take for a formula gets an apostrophe in front; what is no
    printing character is escaped. Numbers are written as they are."""
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerow([cell if isinstance(cell, int | float) else _text(cell) for cell in cells])
    return stream.getvalue()


def _text(cell: object) -> str:
    text = str(cell)
    return printable(f"'{text}" if text.startswith(FORMULA) else text)
