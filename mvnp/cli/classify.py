"""`mvnp classify`: what pictures show."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import printable
from .arguments import Parser, table, whole
from .weights import (
    add_picture_options,
    add_weights_options,
    open_model,
    open_transform,
    report_broken,
    say_passed_over,
    status_of,
)

if TYPE_CHECKING:
    from ..inference import Prediction

SUMMARY = "say what pictures show, with the weights of a trained model"

USAGE = "mvnp classify IMAGE ... --weights W [options]"

DESCRIPTION = """\
Name the classes that a trained model finds likeliest for each picture: its five
best, with their probabilities. IMAGE is a file, or a folder for all pictures in
it and below. Pictures are prepared as the weights ask for. One that cannot be
read is reported and left out; the exit status is then 1."""

EXAMPLES = """\
examples:
  mvnp classify cat.jpg --weights mambavision_tiny_1k.pth.tar
  mvnp classify photos --weights nvidia/MambaVision-T-1K --top 1
  mvnp classify photos --weights runs/best.safetensors --json
  mvnp classify photos --weights W --top 1 --csv

Names come from the weights, or from --classes; of a thousand classes without
names they are ImageNet's. --json gives one object a line:
  {"file": "cat.jpg", "classes": [{"class": 281, "name": "tabby cat",
  "probability": 0.57}, ...]}, or {"file": ..., "error": ...} where it cannot be
read. --csv gives one row a picture, its error in the last column."""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture, or folder of pictures")
    parser.add_argument("--top", type=whole(1), default=5, metavar="N", help="classes to show for each (default: 5)")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="one JSON object a line, instead of tables")
    shown.add_argument("--csv", action="store_true", help="one row a picture, for a spreadsheet, instead of tables")
    parser.add_argument("--classes", metavar="FILE", help="text file with the name of a class on each line")
    add_weights_options(parser)
    add_picture_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..data import image_files
    from ..inference import class_names, classify
    from ..inference.classify import check_head

    passed_over: Counter[str] = Counter()
    files = image_files(arguments.images, passed_over)
    say_passed_over(passed_over)
    pretrained = open_model(arguments)
    check_head(pretrained.model)
    names = class_names(pretrained, arguments.classes)
    transform = open_transform(arguments, pretrained)
    left_out, whole = 0, arguments.json or arguments.csv
    top = min(arguments.top, pretrained.model.num_classes)
    show = _show_json if arguments.json else partial(_show_csv, top) if arguments.csv else _show
    limit = arguments.picture_limit
    if arguments.csv:
        _print_row(["file", *(f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", "name", "share")), "error"])
    for prediction in classify(pretrained.model, files, transform, arguments.top, arguments.batch, limit):
        if prediction.error is None or whole:
            show(prediction, names)
        if prediction.error is not None:
            left_out += 1
            if len(files) == 1:
                raise prediction.error
            report_broken(0, prediction.error)
    return status_of(left_out, files)


def _show(prediction: Prediction, names: tuple[str, ...] | None) -> None:
    rows = [
        [f"{share:8.2%}", str(index), names[index] if names else ""]
        for index, share in zip(prediction.classes, prediction.probabilities, strict=True)
    ]
    print(f"{printable(prediction.file)}\n{table(rows[0], rows[1:], right=(0, 1))}\n", flush=True)


def _show_json(prediction: Prediction, names: tuple[str, ...] | None) -> None:
    shown: dict[str, object] = {"file": _printable(prediction.file)}
    if prediction.error is not None:
        shown["error"] = str(prediction.error)
    else:
        shown["classes"] = [
            {"class": index, "name": names[index] if names else None, "probability": share}
            for index, share in zip(prediction.classes, prediction.probabilities, strict=True)
        ]
    print(json.dumps(shown), flush=True)


def _show_csv(top: int, prediction: Prediction, names: tuple[str, ...] | None) -> None:
    cells: list[object] = [str(prediction.file)]
    for index, share in zip(prediction.classes, prediction.probabilities, strict=True):
        cells += [index, names[index] if names else "", f"{share:.6f}"]
    _print_row([*cells, *[""] * (1 + 3 * top - len(cells)), prediction.error or ""])


def _print_row(cells: list[object]) -> None:
    from ..inference.csv_row import csv_row

    print(csv_row(cells), end="", flush=True)


def _printable(file: Path) -> str:
    """The file's name, with a sign in place of bytes that are no UTF-8."""
    return str(file).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
