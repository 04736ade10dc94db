"""`mvnp validate`: how often a model is right."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .arguments import Parser, UsageError, table
from .outputs import check_apart, check_output
from .weights import (
    add_picture_options,
    add_weights_options,
    batches_of,
    open_model,
    open_transform,
    report_broken,
    say,
    say_passed_over,
    status_of,
)

if TYPE_CHECKING:
    from ..inference import Validation

SUMMARY = "count how often a trained model is right, on a folder of pictures"

USAGE = "mvnp validate FOLDER --weights W [options]\n       mvnp validate RUN [options]"

DESCRIPTION = """\
Count how often a trained model is right: top-1, top-5, and by class. FOLDER has
a folder of pictures for each class, named as the class, by its WordNet id or by
its number; a model that has no names for its classes takes as many folders as
it has classes in the order of their names. Not all classes need a folder.
RUN is the folder of a training: its best model is asked about the pictures that
it has held out, and no others.
After Ctrl-C the same command goes on where it was, with the same result."""

EXAMPLES = """\
examples:
  mvnp validate imagenet/val --weights mambavision_tiny_1k.pth.tar
  mvnp validate photos/test --weights runs/best.safetensors --confusion c.png
  mvnp validate runs/photos                the pictures that this run held out

--out gets the result as JSON; while it is not finished, a file beside it whose
name ends in .state says how far it is. A picture that cannot be read is
reported and does not count; the exit status is then 1."""

DEFAULT_OUT = "mvnp-validate.json"
SHOWN = 20  # up to so many classes, they are shown one by one


def add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="folder that has a folder of pictures for each class, or one of a run")
    parser.add_argument(
        "--out", type=Path, default=Path(DEFAULT_OUT), metavar="F.json", help=f"the result as JSON (default: {DEFAULT_OUT})"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="a row for each picture: its class, what it was taken for")
    parser.add_argument("--confusion", type=Path, metavar="FILE", help="what was taken for what, as a .csv or a .png file")
    parser.add_argument("--classes", metavar="FILE", help="text file with the name of a class on each line")
    parser.add_argument("--restart", action="store_true", help="begin anew, though one was interrupted")
    parser.add_argument("--quiet", action="store_true", help="show no progress, only the result")
    add_weights_options(parser, required=False)
    add_picture_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..data.held_out import BEST, HELD_OUT
    from ..inference import class_names, find_class_folders, validate
    from ..inference.class_names import IMAGENET_CLASSES
    from ..inference.classify import check_head
    from ..inference.run_pictures import held_out_arrays, held_out_pictures, is_run
    from ..inference.validation_state import ValidationState
    from ..training.progress import Progress
    from ..training.run_data import held_out_data

    out = arguments.out.expanduser()
    if not out.absolute().parent.is_dir() or out.is_dir():
        what = f"{out} is a folder" if out.is_dir() else f"there is no folder {out.parent}"
        raise InputError(f"--out is to be a file in a folder that exists, and {what}")
    if arguments.csv is not None and not arguments.csv.absolute().parent.is_dir():
        raise InputError(f"there is no folder {arguments.csv.parent} to write {arguments.csv.name} to; make it first")
    if arguments.confusion is not None:
        from ..visualize.pages.confusion import check_confusion_file, write_confusion

        check_confusion_file(arguments.confusion)
    root = Path(arguments.folder).expanduser()
    run_given = is_run(root)
    if arguments.weights is None:
        if not run_given:
            raise UsageError(f"--weights W is missing, and {root} is not the folder of a run\nSee mvnp validate --help.")
        arguments.weights = str(root / BEST)
    read = [arguments.weights, arguments.classes]
    kinds = {"--out": "report", "--confusion": "confusion", "--csv": "pictures"}
    if arguments.confusion is not None and arguments.confusion.suffix.lower() == ".png":
        kinds["--confusion"] = ".png"
    written: dict[str, Path | None] = {"--out": out, "--confusion": arguments.confusion, "--csv": arguments.csv}
    check_apart(written)
    for option, file in written.items():  # before weights are read
        if file is not None:
            check_output(option, file, read, kinds[option])
    pretrained = open_model(arguments)
    check_head(pretrained.model)
    names, count = class_names(pretrained, arguments.classes), pretrained.model.num_classes
    imagenet = pretrained.classes is None and arguments.classes is None and count == IMAGENET_CLASSES
    if run_given:
        if (root / HELD_OUT).is_file():
            found, part = held_out_pictures(root, names)
        else:
            _check_for_files(arguments)
            found, part = held_out_arrays(root, held_out_data(root, pretrained.model.in_chans), names)
        say(f"the {len(found.files)} {part} pictures that the run in {root} held out")
    else:
        found = find_class_folders(arguments.folder, count, names, imagenet)
    for option, file in written.items():
        if file is not None:
            check_output(option, file, found.files, kinds[option])
    say_passed_over(found.passed_over)
    transform = open_transform(arguments, pretrained)
    state_file = out.with_name(f"{out.name}.state")
    if arguments.restart:
        ValidationState.remove(state_file)
    progress = Progress(arguments.quiet)

    def begin(done: int) -> None:
        if done:
            progress.say(f"going on after {done} of {len(found.files)} pictures")
        progress.begin("validate", **batches_of(len(found.files), arguments.batch, done))

    try:
        validation = validate(
            pretrained.model,
            found,
            transform,
            arguments.batch,
            state_file,
            on_start=begin,
            on_batch=lambda batch, share: progress.advance(f"{share:.1%} right"),
            on_broken=report_broken,
            announce=not arguments.quiet,
            max_bytes=arguments.picture_limit,
        )
    finally:
        progress.close()
    _write_report(out, arguments, pretrained.variant, transform, validation)
    if arguments.confusion is not None:
        write_confusion(arguments.confusion, validation)
    if arguments.csv is not None:
        _write_csv(arguments.csv, validation, names)
    ValidationState.remove(state_file)
    _show(validation)
    print(f"\n{out} has this as JSON")
    return status_of(len(validation.broken), found.files)


def _check_for_files(arguments: argparse.Namespace) -> None:
    if arguments.range is not None:
        raise InputError("--range is for pictures in files, and this run was trained on arrays of 8 bits; leave it out")


def _write_report(
    out: Path, arguments: argparse.Namespace, variant: str | None, transform: Any, validation: Validation
) -> None:
    from dataclasses import asdict

    from ..atomic import write_bytes
    from ..version import __version__

    about = {
        "mvnp": __version__,
        "folder": str(arguments.folder),
        "weights": str(arguments.weights),
        "variant": variant,
        "preparation": asdict(transform),
    }
    write_bytes(out, (json.dumps({**about, **validation.to_dict()}, indent=1) + "\n").encode("utf-8", "surrogateescape"))


def _write_csv(path: Path, validation: Validation, names: tuple[str, ...] | None) -> None:
    """A row for each picture, in the order of the folders. `rank` counts the classes that were likelier than the right one."""
    from ..atomic import write_bytes
    from ..inference.csv_row import csv_row

    found, rows = validation.found, [csv_row(["file", "folder", "class", "predicted", "predicted_name", "rank", "error"])]
    folder_of = dict(zip(found.classes, found.folders, strict=True))
    for position, (file, label) in enumerate(zip(found.files, found.labels.tolist(), strict=True)):
        best, rank = int(validation.best[position]), int(validation.rank[position])
        read = rank >= 0
        answer = [best, names[best] if names else folder_of.get(best, ""), rank] if read else ["", "", ""]
        rows.append(csv_row([file, folder_of[label], label, *answer, validation.broken.get(position, "")]))
    write_bytes(path, "".join(rows).encode("utf-8", "surrogateescape"))


def _show(validation: Validation) -> None:
    found, counted = validation.found, validation.counted

    def row(name: str, pictures: int, label: int | None = None) -> list[str]:
        rights = [validation.right(k, label) for k in ((1, 5) if validation.num_classes > 5 else (1,))]
        return [name, str(pictures), *(f"{right / pictures:.2%}" if pictures else "-" for right in rights)]

    header = ["class", "pictures", "top-1", "top-5"][: 4 if validation.num_classes > 5 else 3]
    rows = []
    if len(found.folders) <= SHOWN:
        for folder, label in zip(found.folders, found.classes, strict=True):
            rows.append(row(folder, int(((found.labels == label) & (validation.rank >= 0)).sum()), label))
    mean = ["mean of classes", "", f"{validation.mean_accuracy:.2%}", ""][: len(header)]
    print(table(header, [*rows, row("all", counted), mean], right=(1, 2, 3)))
