"""The table of the pictures that a run has not trained on: held-out.csv, with the columns image, label and split.

Files are named by their full paths, so the table means the same from anywhere. Labels are the names of the classes; the split
is val, which has chosen the best epoch, or test. `--labels` of the commands that train reads such a table as well.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path

from ..errors import DataError
from .dataset import Dataset
from .regular import read_regular

# The files of a run's folder (mvnp/training/run_folder.py), as far as they are read without training.
BEST, CHECKPOINT, LOG, HELD_OUT = "best.safetensors", "checkpoint.safetensors", "log.jsonl", "held-out.csv"

COLUMNS = ["image", "label", "split"]
MOST_BYTES = 2**28


def held_out_table(parts: Iterable[Dataset]) -> bytes | None:
    """The table of these parts; None where their pictures are in no files of their own."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for data in parts:
        for path, label in zip(data.files, data.labels.tolist(), strict=bool(data.files)):
            writer.writerow([os.path.abspath(path), data.classes[label], data.part])
            count += 1
    return stream.getvalue().encode("utf-8", "surrogateescape") if count else None


def read_held_out(table: Path) -> dict[str, list[tuple[Path, str]]]:
    """{"val", "test": (picture, name of its class)}, as far as there are any. Raises DataError for a damaged table."""
    try:
        text = read_regular(table, MOST_BYTES).decode("utf-8", "surrogateescape")
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        if header != COLUMNS or not rows:
            raise ValueError(f"its first line is not {','.join(COLUMNS)}, or there are no others")
        parts: dict[str, list[tuple[Path, str]]] = {}
        for number, row in enumerate(rows, 2):
            if len(row) != len(COLUMNS) or row[2] not in ("val", "test") or not row[0] or "\0" in row[0]:
                raise ValueError(f"line {number} is no picture, class and part")
            parts.setdefault(row[2], []).append((Path(row[0]), row[1]))
    except OSError as error:
        raise DataError(f"{table}: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:
        raise DataError(
            f"{table} is damaged ({error}); put back a copy, or give the folder of pictures in place of the run"
        ) from error
    return parts
