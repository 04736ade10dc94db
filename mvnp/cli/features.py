"""`mvnp features`: what a model makes of pictures, for other programs."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from .arguments import Parser, table
from .outputs import check_output
from .weights import (
    add_picture_options,
    add_weights_options,
    batches_of,
    open_model,
    open_transform,
    report_broken,
    say_passed_over,
    status_of,
)

SUMMARY = "write the features of pictures to a .npz file"

USAGE = "mvnp features IMAGE ... --weights W --out F.npz [options]"

DESCRIPTION = """\
Write what a trained model makes of pictures to a NumPy file: the pooled vector
that the classifier sees, and the maps of the four stages. IMAGE is a file, or a
folder for all pictures in it and below. One that cannot be read is reported and
left out; the exit status is then 1."""

EXAMPLES = """\
examples:
  mvnp features cat.jpg --weights mambavision_tiny_1k.pth.tar --out cat.npz
  mvnp features photos --weights runs/best.safetensors --out f.npz --only pooled

In Python: f = numpy.load("f.npz"); f["files"][i] is the file of f["pooled"][i].
The file is written whole or not at all. It takes memory for one batch only; the
disk holds everything twice for a moment. Of mamba_vision_T at 224 the stages of
a picture are 1.9 MB, the pooled vector is 2.6 kB."""

ARRAYS = ("pooled", "stage0", "stage1", "stage2", "stage3")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture, or folder of pictures")
    parser.add_argument("--out", type=Path, required=True, metavar="F.npz", help="the file to write")
    parser.add_argument(
        "--only", nargs="+", choices=ARRAYS, metavar="ARRAY", help=f"some of {', '.join(ARRAYS)} (default: all)"
    )
    parser.add_argument("--quiet", action="store_true", help="show no progress, only what was written")
    add_weights_options(parser)
    add_picture_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..data import image_files
    from ..inference import write_features
    from ..inference.features import arrays_of, check_target
    from ..training.progress import Progress

    passed_over: Counter[str] = Counter()
    files = image_files(arguments.images, passed_over)
    say_passed_over(passed_over)
    out = arguments.out.expanduser()
    check_target(out, ARRAYS if arguments.only is None else arguments.only)  # before anything takes time
    check_output("--out", out, [arguments.weights, *files], "features")
    pretrained = open_model(arguments, backbone=True)
    arrays = arrays_of(pretrained.model, arguments.only)
    transform = open_transform(arguments, pretrained)
    progress, broken = Progress(arguments.quiet), []

    def note(position: int, error: Any) -> None:
        broken.append(position)
        if len(files) == 1:
            raise error
        report_broken(position, error)

    progress.begin("features", **batches_of(len(files), arguments.batch))
    try:
        shapes = write_features(
            pretrained.model,
            files,
            transform,
            out,
            arrays,
            arguments.batch,
            note,
            lambda batch: progress.advance(),
            arguments.picture_limit,
        )
    finally:
        progress.close()
    rows = [[name, " x ".join(map(str, shape))] for name, shape in shapes.items()]
    print(f"{out}\n{table(rows[0], rows[1:])}")
    return status_of(len(broken), files)
