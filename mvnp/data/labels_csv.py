"""A table of labels beside a folder of pictures: a line a picture, columns by name.

    image,label,split          the columns have any of the names below, in any case, or those that are given
    0001.jpg,cat,train
    0002.jpg,dog,val           no split: all pictures are training pictures, of which a part is held out

A file is named from the folder of pictures on, or by its full path; an extension that is missing (as in many tables of
identifiers) is looked for. Fields are separated by commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from pathlib import Path

from ..errors import DataError, InputError, nearest
from .folder import EXTENSIONS, TEST_NAMES, VALIDATION_NAMES, Pictures, natural_key
from .regular import read_regular

COLUMNS = {
    "image": ("image", "file", "filename", "file_name", "path", "filepath", "file_path", "image_path", "image_id", "img", "id"),
    "label": ("label", "class", "target", "category", "class_name", "labels", "breed", "species", "y"),
    "split": ("split", "part", "set", "subset"),
}
MOST_BYTES = 2**28
_NAMED = 20


def read_labels(table: Path, root: Path, columns: Mapping[str, str] | None = None) -> dict[str, Pictures]:
    """{"train", "val", "test": {class: its pictures}}, as far as there are any; classes in natural order.

    columns    the names of the columns "image", "label" and "split", where they are called otherwise

    Raises DataError for a table that cannot be understood, and names the lines and the files that are missing.
    """
    rows, names = _rows(table)
    at = {role: _column(table, role, names, columns or {}) for role in COLUMNS}
    parts: dict[str, dict[str, list[Path]]] = {}
    lost: list[str] = []
    seen: dict[Path, int] = {}
    for number, row in rows:
        label, file = _field(table, number, row, at["label"]), _field(table, number, row, at["image"])
        part = "train" if at["split"] is None else _part(table, number, _field(table, number, row, at["split"]))
        path = _located(root, file)
        if path is None:
            lost.append(f"{file} (line {number})")
            continue
        if path in seen:
            raise DataError(f"{table}: line {number}: {file} has been on line {seen[path]} already; expected each picture once")
        seen[path] = number
        parts.setdefault(part, {}).setdefault(label, []).append(path)
    if lost:
        more = f", and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise DataError(
            f"{table}: {len(lost)} of {len(lost) + len(seen)} pictures are not in {root}: {', '.join(lost[:_NAMED])}{more};"
            " give the folder that they are in, or take them off the table"
        )
    if "train" not in parts:
        raise DataError(f"{table}: no line is of the training part; expected 'train' in the column {names[at['split'] or 0]!r}")
    classes = sorted(parts["train"], key=natural_key)
    for part, found in parts.items():
        strange = [label for label in found if label not in parts["train"]]
        if strange:
            raise DataError(f"{table}: classes of {part} that train does not have: {', '.join(strange[:_NAMED])}")
    return {
        part: {label: parts[part].get(label, []) for label in classes} for part in ("train", "val", "test") if part in parts
    }


def read_weights(file: Path) -> dict[str, float]:
    """What images of a class count: a line `class,weight` for each. Raises DataError that names the line."""
    weights: dict[str, float] = {}
    rows, first = _rows(file, "a table of weights, a line class,weight for each class")
    for number, row in [(1, first), *rows]:
        try:
            name, weight = row[0].strip(), float(row[1])
        except (IndexError, ValueError) as error:
            if number == 1 and len(row) > 1:
                continue  # the names of the columns
            raise DataError(f"{file}: line {number} is {','.join(row)!r}, expected a class and its weight, cat,2.5") from error
        if not 0.0 <= weight < math.inf or name in weights:
            what = "is there twice" if name in weights else f"has the weight {row[1].strip()}, expected a number of at least 0"
            raise DataError(f"{file}: line {number}: {name!r} {what}")
        weights[name] = weight
    return weights


def _rows(table: Path, expected: str = "a table of labels, .csv") -> tuple[list[tuple[int, list[str]]], list[str]]:
    try:
        text = read_regular(table, MOST_BYTES).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{table}: there is no such file; expected {expected}") from error
    except OSError as error:
        raise DataError(f"{table}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{table}: is no text in UTF-8, expected {expected}; save it as UTF-8") from error
    except ValueError as error:
        raise DataError(f"{table}: cannot be read ({error}); expected {expected}") from error
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    try:
        for row in reader:
            if any(field.strip() for field in row):
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise DataError(
            f"{table}: line {reader.line_num} cannot be understood ({error}); is a quotation mark left open?"
        ) from error
    if len(rows) < 2:
        raise DataError(f"{table}: has {len(rows)} lines, expected {expected}, with more than one")
    return rows[1:], [name.strip() for name in rows[0][1]]


def _column(table: Path, role: str, names: list[str], given: Mapping[str, str]) -> int | None:
    for name in given:
        if name not in COLUMNS:
            raise InputError(f"columns names {name!r}{nearest(name, COLUMNS)}; expected some of {', '.join(COLUMNS)}")
    by_name = {name.casefold(): place for place, name in reversed(list(enumerate(names)))}
    wanted = [given[role]] if role in given else COLUMNS[role]
    found = next((by_name[name.casefold()] for name in wanted if name.casefold() in by_name), None)
    if found is None and (role != "split" or role in given):
        asked = repr(given[role]) if role in given else f"for the {role} ({', '.join(COLUMNS[role])})"
        raise DataError(
            f"{table}: no column {asked}; it has {', '.join(names)}. Say which it is: --columns {role}=NAME (columns in Python)"
        )
    return found


def _field(table: Path, number: int, row: list[str], place: int | None) -> str:
    value = row[place].strip() if place is not None and place < len(row) else ""
    if not value:
        raise DataError(f"{table}: line {number} has nothing in column {(place or 0) + 1}; fill it in, or remove the line")
    return value


def _part(table: Path, number: int, value: str) -> str:
    name = value.casefold()
    if name in ("train", "training"):
        return "train"
    if name in (*TEST_NAMES, "testing"):
        return "val" if name in VALIDATION_NAMES else "test"
    raise DataError(f"{table}: line {number} is of the part {value!r}; expected train, val or test")


def _located(root: Path, file: str) -> Path | None:
    if "\0" in file:
        return None
    path = root / file
    try:
        if path.is_file():
            return path
        return next(
            (path.with_name(path.name + ending) for ending in EXTENSIONS if path.with_name(path.name + ending).is_file()), None
        )
    except (OSError, ValueError):  # a name that is too long, or none at all
        return None
