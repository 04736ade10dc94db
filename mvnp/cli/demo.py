"""`mvnp demo`: the whole of it in a few minutes."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from .arguments import Parser, whole
from .outputs import check_output

SUMMARY = "train a small model and write a page that shows what it does"

USAGE = "mvnp demo [options]"

DESCRIPTION = """\
Train a small MambaVision on images that ship with mvnp, test it, and write a
page of pictures: loss and accuracy, predictions, the state of the scan along an
image, the attention inside its windows. Takes a few minutes on two cores.
After an interruption the same command goes on where it was."""

EXAMPLES = """\
examples:
  mvnp demo                       then open mvnp-demo/index.html in a browser
  mvnp demo --out /tmp/first      another folder
  mvnp demo --quick               train for moments only, to see the page soon"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--out", type=Path, default=Path("mvnp-demo"), metavar="DIR", help="output folder (default: mvnp-demo)")
    parser.add_argument("--quick", action="store_true", help="train for moments only")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of everything drawn at random (default: 0)")
    parser.add_argument("--quiet", action="store_true", help="show no progress, only where the page is")


def run(arguments: argparse.Namespace) -> int:
    from ..data.held_out import CHECKPOINT
    from ..visualize.pages.demo import run_demo
    from ..visualize.pages.report import PAGE, PICTURES

    out = arguments.out.expanduser()
    check_output("--out", out / PAGE, [], "page")
    if (out / PICTURES).exists() and not (out / PAGE).is_file() and not (out / CHECKPOINT).is_file():
        raise InputError(f"{out / PICTURES} is there already, and of no demo; choose another folder for --out, or move it away")
    page = run_demo(out, quick=arguments.quick, seed=arguments.seed, quiet=arguments.quiet)
    print(f"open {page} in a browser")
    return 0
