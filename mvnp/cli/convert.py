"""`mvnp convert`: weights from one kind of file to another, without PyTorch."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .arguments import Parser
from .outputs import check_output
from .weights import say

SUMMARY = "convert weights between safetensors, npz and PyTorch's files"

USAGE = "mvnp convert IN OUT [options]"

DESCRIPTION = """\
Convert a file of weights to the kind that the name of OUT says: .safetensors,
.npz, .pth, .pth.tar or .pt. PyTorch is not needed, for its own files neither. A
checkpoint of mvnp train gives the weights alone. The keys in OUT are the
official ones, so that PyTorch's MambaVision loads what was trained here."""

EXAMPLES = """\
examples:
  mvnp convert mambavision_tiny_1k.pth.tar tiny.safetensors
  mvnp convert run/best.safetensors mine.pth           for PyTorch
  mvnp convert last.pth.tar half.safetensors --ema --dtype bfloat16"""

DTYPES = ("float32", "float16", "bfloat16", "float64")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("source", metavar="IN", help="file to read, of any kind, or folder with a model.safetensors.index.json")
    parser.add_argument("target", metavar="OUT", help="file to write; weights that are there are replaced")
    parser.add_argument(
        "--dtype", choices=DTYPES, metavar="TYPE", help=f"of the weights: {', '.join(DTYPES)} (default: as in IN)"
    )
    parser.add_argument("--ema", action="store_true", help="take the moving average that IN has beside the weights")
    parser.add_argument("--entry", metavar="NAME", help="where the weights stand in IN, if there are several in it")
    parser.add_argument(
        "--prefix", default="", metavar="TEXT", help="put before every key; 'model.' for Hugging Face's library"
    )


def run(arguments: argparse.Namespace) -> int:
    from ..checkpoint import convert_checkpoint

    check_output("OUT", Path(arguments.target), [], "weights")  # that it is not IN, the conversion itself makes sure of
    options = {"dtype": arguments.dtype, "ema": arguments.ema, "entry": arguments.entry, "prefix": arguments.prefix}
    done = convert_checkpoint(arguments.source, arguments.target, **options)
    before = "" if os.path.isdir(arguments.source) else f" (from {os.stat(arguments.source).st_size / 1e6:.1f})"
    for note in done.notes:
        say(note)
    print(f"{arguments.target}: {done.arrays} arrays, {done.numbers:,} numbers, {done.size / 1e6:.1f} MB{before}")
    return 0
