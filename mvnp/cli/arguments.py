"""The argument parser: argparse, with errors that are ours, and the types of our arguments."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ..errors import MvnpError, nearest, printable, shown


class UsageError(MvnpError):
    """A command line that cannot be understood."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError, where the original prints and exits, and that takes no abbreviations."""

    def __init__(self, prog: str, **options: Any) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, formatter_class=layout, allow_abbrev=False, add_help=False, **options)
        self.add_argument("-h", "--help", action="help", help="show this and exit")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\nSee {self.prog} --help.")

    def parse_all(self, arguments: list[str]) -> argparse.Namespace:
        """The parsed arguments. Raises UsageError for one that is unknown, with the nearest option: before one that is missing,
        which it may have been meant for."""
        for argument in arguments[: arguments.index("--")] if "--" in arguments else arguments:
            name = argument.partition("=")[0]
            if re.match("--?[A-Za-z]", name) and name not in self._option_string_actions and not _is_number(name):
                self.error(f"unexpected argument {shown(argument)}{nearest(name, self._option_string_actions)}")
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            self.error(f"unexpected argument {shown(unknown[0])}")
        return parsed


def whole(least: int, most: int = 10**12) -> Callable[[str], int]:
    """The type of an argument that is an integer from `least` to `most`."""

    def convert(text: str) -> int:
        digits = text.strip().lstrip("+").replace("_", "")
        if digits.isascii() and digits.isdigit() and len(digits.lstrip("0")) > len(str(most)):
            raise argparse.ArgumentTypeError(f"{shown(text)} is too large, expected at most {most}")
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number of at least {least}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{shown(text)} is too large, expected at most {most}")
        return value

    return convert


def number(text: str) -> float:
    """The type of an argument that is a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number of at least 0")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def table(header: Iterable[str], rows: Iterable[Iterable[str]], right: Iterable[int] = ()) -> str:
    """Columns of text, as wide as they need; those numbered in `right` are flush right."""
    lines = [list(map(printable, row)) for row in (header, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    flush = set(right)

    def cell(text: str, column: int) -> str:
        return text.rjust(widths[column]) if column in flush else text.ljust(widths[column])

    return "\n".join("  ".join(cell(text, column) for column, text in enumerate(line)).rstrip() for line in lines)
