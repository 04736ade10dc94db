"""`mvnp export`: a model as an ONNX file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import Parser, UsageError, table
from .outputs import check_output
from .pictures import image_size
from .weights import add_weights_options, open_model

if TYPE_CHECKING:
    from ..checkpoint import Pretrained

SUMMARY = "write a model as an ONNX file"

USAGE = "mvnp export --weights W [--out FILE] [options]"

DESCRIPTION = """\
Write a model as an ONNX file, which ONNX Runtime and many other programs run,
on any machine and from any language. The file takes images (batch, channels,
height, width), prepared as for the model itself, of any batch size, and gives
logits. Needs the package onnx (pip install onnx), --check onnxruntime too."""

EXAMPLES = """\
examples:
  mvnp export --weights mambavision_tiny_1k.pth.tar --out tiny.onnx --check
  mvnp export --weights nvidia/MambaVision-T-1K --size 480x640
  mvnp export --weights runs/a/best.safetensors --any-size --features
  mvnp export --weights w.safetensors --variant mamba_vision_B --dtype float16"""

TOLERANCES = {"float32": 1e-4, "float16": 1e-2}  # of --check


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--out", default="model.onnx", metavar="FILE", help="what to write (default: model.onnx)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--size",
        nargs="+",
        type=image_size,
        metavar="S",
        help="what the file takes: a side, HxW, or H W (default: what the weights are for)",
    )
    size.add_argument("--any-size", action="store_true", help="let the file take images of any height and width")
    parser.add_argument("--features", action="store_true", help="give the four stages and the pooled vector, not logits")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=list(TOLERANCES),
        help="how matrices are stored; float16 halves the file, the arithmetic is float32 (default: float32)",
    )
    parser.add_argument("--check", action="store_true", help="run the file in ONNX Runtime and compare with the model")
    parser.add_argument(
        "--quirks", metavar="NAME", help="official, paper or corrected (default: as the weights say, or official)"
    )
    add_weights_options(parser)


def run(arguments: argparse.Namespace) -> int:
    given = _given_size(arguments.size)
    from ..export import export_onnx, verify_onnx
    from ..export.export import check_target
    from ..export.extra import needed

    # What can be told before weights are read, or fetched from far away.
    check_target(arguments.out)
    check_output("--out", Path(arguments.out).expanduser(), [arguments.weights], "model")
    if arguments.check:
        needed("onnxruntime", "--check")
    found = open_model(arguments, backbone=True, **({} if arguments.quirks is None else {"quirks": arguments.quirks}))
    size = None if arguments.any_size else given or _own_size(arguments.weights, found)
    files = export_onnx(
        found.model,
        arguments.out,
        size,
        features=arguments.features,
        dtype=arguments.dtype,
        metadata=_metadata(found),
    )
    _show(files, found, size, arguments.features)
    if arguments.check:
        sizes = [_known_size(found) or (224, 224), (197, 230)] if size is None else [size]
        agreements = verify_onnx(files[0], found.model, sizes=sizes, tolerance=TOLERANCES[arguments.dtype])
        rows = [[a.output, str(a.batch), f"{a.height}x{a.width}", f"{a.error:.1e}"] for a in agreements]
        print(f"\n{table(['output', 'batch', 'size', 'difference'], rows, right=(1, 3))}")
        print(f"\nONNX Runtime agrees with mvnp: differences over the largest value are below {TOLERANCES[arguments.dtype]:g}")
    return 0


def _given_size(given: list[int | tuple[int, int]] | None) -> tuple[int, int] | None:
    """`384`, `384x512` or `384 512`."""
    match given:
        case None:
            return None
        case [int() as side]:
            return side, side
        case [(height, width)] | [int() as height, int() as width]:
            return height, width
    shown = " ".join(str(each) if isinstance(each, int) else f"{each[0]}x{each[1]}" for each in given)
    raise UsageError(f"--size takes a side, HxW, or a height and a width, not {shown}\nSee mvnp export --help.")


def _own_size(weights: str, found: Pretrained) -> tuple[int, int]:
    size = _known_size(found)
    if size is None:
        raise UsageError(f"{weights} does not say for which image size it is; give --size HxW, or --any-size")
    return size


def _known_size(found: Pretrained) -> tuple[int, int] | None:
    size = (found.images or {}).get("size")
    return None if size is None else (size, size) if isinstance(size, int) else (size[0], size[1])


def _metadata(found: Pretrained) -> dict[str, str]:
    """What whoever runs the file needs besides: kept as JSON, under these names."""
    known = {"variant": found.variant, "classes": found.classes, "images": found.images}
    return {name: json.dumps(value) for name, value in known.items() if value is not None}


def _show(files: list[Path], found: Pretrained, size: tuple[int, int] | None, features: bool) -> None:
    from ..models.backbone import Backbone

    for file in files:
        print(f"wrote {file}, {file.stat().st_size / 1e6:,.1f} MB")
    if len(files) > 1:
        print("keep them together: the first has the graph, the second the weights, found by its name")
    model = found.model
    sides = "height, width" if size is None else f"{size[0]}, {size[1]}"
    if isinstance(model, Backbone):
        outputs = ", ".join(
            f"stage{index} (batch, {width}, …)" for index, width in zip(model.out_indices, model.channels, strict=True)
        )
    else:
        pooled = f"pooled (batch, {model.width})"
        logits = f"logits (batch, {model.num_classes})" if model.head else pooled
        outputs = f"stage0 to stage{len(model.channels) - 1}, {pooled}" if features else logits
    kind = found.variant or f"a {type(model).__name__} of no released variant"
    rows = [
        ("model", f"{kind}, {model.parameter_count:,} parameters"),
        ("input", f"images (batch, {model.in_chans}, {sides})"),
        ("output", outputs),
    ]
    print(table(rows[0], rows[1:]))
