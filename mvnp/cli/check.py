"""`mvnp check`: every backward against central differences of its forward."""

from __future__ import annotations

import argparse
import time
from itertools import groupby
from typing import TYPE_CHECKING

from .arguments import Parser, number

if TYPE_CHECKING:
    from ..check.gradcheck import Comparison, Report

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
  mvnp check conv2d --verbose        each case of a layer, each of its tensors
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
    parser.add_argument("--verbose", action="store_true", help="a line for each tensor of each case")
    parser.add_argument("--all", action="store_true", help=f"--verbose, also for cases with more than {SHOWN} tensors")


def run(arguments: argparse.Namespace) -> int:
    from ..check.layer_checks import select_cases

    begin = time.monotonic()
    cases, verbose = select_cases(arguments.layers), arguments.verbose or arguments.all
    reports: list[Report] = []
    names = [case.name if verbose else case.layer for case in cases]
    width = max(map(len, names))
    print(_ROW.format("layer", "tensor" if verbose else "worst of", "error", "ok", width=width))
    for layer, same in groupby(cases, key=lambda case: case.layer):
        found = []
        for case in same:
            found.append(case.run(arguments.tolerance))
            if verbose:
                _show(found[-1], width, arguments.all)
        reports += found
        if not verbose:
            _show_layer(layer, found, width)
    wrong = sum(comparison.error > report.tolerance for report in reports for comparison in report.comparisons)
    tensors = sum(len(report.comparisons) for report in reports)
    layers = len({case.layer for case in cases})
    print(
        f"\n{len(cases)} cases of {layers} layers and parts, {tensors} tensors: {f'{wrong} WRONG' if wrong else 'all right'};"
        f" largest error {max(report.error for report in reports):.1e}, tolerance {arguments.tolerance:.1e},"
        f" {time.monotonic() - begin:.1f} s"
    )
    return 1 if wrong else 0


def _show_layer(layer: str, reports: list[Report], width: int) -> None:
    """One line, and what is wrong below it."""
    comparisons = [comparison for report in reports for comparison in report.comparisons]
    worst, right = max(comparison.error for comparison in comparisons), all(report.ok for report in reports)
    cases = f"{len(reports)} case{'s' * (len(reports) > 1)}, {len(comparisons)} tensor{'s' * (len(comparisons) > 1)}"
    print(_ROW.format(layer, cases, f"{worst:.1e}", "yes" if right else "WRONG", width=width), flush=True)
    for report in reports:
        for comparison in report.comparisons:
            if comparison.error > report.tolerance:
                print(f"    {report.name}, {comparison.tensor}: {_values(comparison)}")


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
            print(f"    {_values(comparison)}")


def _values(comparison: Comparison) -> str:
    return f"{comparison.where}: backward {comparison.analytic:.7e}, differences {comparison.numeric:.7e}"
