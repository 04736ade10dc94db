"""`mvnp check`: every backward against central differences of its forward."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from .arguments import Parser, number

if TYPE_CHECKING:
    from ..check.gradcheck import Report

SUMMARY = "check the gradient of every layer against differences"

USAGE = "mvnp check [LAYER ...] [options]"

DESCRIPTION = """\
Check every hand-derived gradient, of each layer, each part of a model and a
small model as a whole, against central differences in float64. An error is a
difference over the scale of its tensor's gradient. All of it takes a few
seconds."""

EXAMPLES = """\
examples:
  mvnp check                         all of them
  mvnp check conv2d selective_scan   two layers
  mvnp check model --all             every tensor of the small model

The exit status is 0 if all are right, 1 if one is wrong."""

SHOWN = 10  # tensors of a case, beyond which only the worst is shown

_ROW = "{:<{width}}  {:<47}  {:>7}  {}"


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "layers", nargs="*", metavar="LAYER", help="what to check, such as conv2d or mixer; default: everything"
    )
    parser.add_argument(
        "--tolerance", type=number, default=1e-7, metavar="X", help="largest error that counts as right (default: 1e-7)"
    )
    parser.add_argument("--all", action="store_true", help=f"show every tensor, also of cases with more than {SHOWN}")


def run(arguments: argparse.Namespace) -> int:
    from ..check.layer_checks import select_cases

    begin = time.monotonic()
    cases = select_cases(arguments.layers)
    reports = []
    width = max(len(case.name) for case in cases)
    print(_ROW.format("layer", "tensor", "error", "ok", width=width))
    for case in cases:
        report = case.run(arguments.tolerance)
        reports.append(report)
        _show(report, width, arguments.all)
    wrong = sum(comparison.error > report.tolerance for report in reports for comparison in report.comparisons)
    tensors = sum(len(report.comparisons) for report in reports)
    layers = len({case.layer for case in cases})
    print(
        f"\n{len(cases)} cases of {layers} layers and parts, {tensors} tensors: {f'{wrong} WRONG' if wrong else 'all right'};"
        f" largest error {max(report.error for report in reports):.1e}, tolerance {arguments.tolerance:.1e},"
        f" {time.monotonic() - begin:.1f} s"
    )
    return 1 if wrong else 0


def _show(report: Report, width: int, everything: bool) -> None:
    worst = max(report.comparisons, key=lambda comparison: comparison.error)
    for comparison in report.comparisons:
        right = comparison.error <= report.tolerance
        few = everything or len(report.comparisons) <= SHOWN
        if few or not right or comparison is worst:
            tensor = comparison.tensor if few else f"{comparison.tensor} (of {len(report.comparisons)})"
            verdict = "yes" if right else "WRONG"
            print(_ROW.format(report.name, tensor, f"{comparison.error:.1e}", verdict, width=width), flush=True)
        if not right:
            print(f"    {comparison.where}: backward {comparison.analytic:.7e}, differences {comparison.numeric:.7e}")
