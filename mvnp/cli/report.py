"""`mvnp report`: a page about a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from .arguments import Parser
from .outputs import check_output

SUMMARY = "write a page about a training: curves, mistakes, gradients"

USAGE = "mvnp report RUN [RUN] [options]"

DESCRIPTION = """\
Write a page about the run in a folder of mvnp train or finetune: losses,
accuracies of the weights and of their average, learning rate, gradients by
depth, what is taken for what, and the worst mistakes; with two folders both
runs in the same charts. Beside it epochs.csv and steps.csv."""

EXAMPLES = """\
examples:
  mvnp report runs/first                      writes runs/first/report
  mvnp report runs/first runs/second --out both
  mvnp report runs/first --tensorboard logs   then tensorboard --logdir logs"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run; a second one to compare with")
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: report in the first run's)")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write event files for TensorBoard there, and no page")


def run(arguments: argparse.Namespace) -> int:
    from ..atomic import make_folder, write_bytes
    from ..data.sources import check_outside
    from ..training.tensorboard import event_file
    from ..visualize.pages.report import PAGE
    from ..visualize.pages.run import names_of, read_run, write_run_page

    if len(arguments.runs) > 2:
        raise InputError(f"mvnp report compares two runs, and {len(arguments.runs)} were given")
    runs = [read_run(folder) for folder in arguments.runs]
    if arguments.tensorboard is not None:
        for name, one in zip(names_of(runs), runs, strict=True):
            folder = arguments.tensorboard / name
            make_folder(folder)
            write_bytes(folder / "events.out.tfevents.0.mvnp", event_file(one.log))
        print(f"tensorboard --logdir {arguments.tensorboard}")
        return 0
    out = arguments.out or arguments.runs[0] / "report"
    check_output("--out", out / PAGE, [], "page")
    for one in runs:
        check_outside(one.checkpoint.config.dataset, out, one.checkpoint.config.dataset_options.get("labels"))
    make_folder(out)
    print(f"open {write_run_page(out, runs)} in a browser")
    return 0
