"""Types of the options that say how pictures are read."""

from __future__ import annotations

import argparse
import re
from typing import Any


def image_size(text: str) -> int | tuple[int, int]:
    """The type of --size: `384`, or `384x512`, height first."""
    match = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", text.lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected a side such as 384, or HxW such as 384x512")
    return int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))


def value_range(text: str) -> Any:
    """The type of --range: `0:4095`, `auto` or `percentile`."""
    from ..data.picture import parsed_range

    try:
        return parsed_range(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no range; expected the values of black and white, such as 0:4095, or auto, or percentile"
        ) from error


def megabytes(text: str) -> int:
    """The type of --picture-limit, in bytes."""
    match = re.fullmatch(r"[1-9]\d{0,6}", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no limit; expected a whole number of MB, such as 500")
    return int(text) * 1_000_000


def band_numbers(text: str) -> tuple[int, ...]:
    """The type of --bands: `4,3,2` or `8`, counted from 1."""
    if re.fullmatch(r"[1-9]\d{0,3}(,[1-9]\d{0,3},[1-9]\d{0,3})?", text) is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} are no bands; expected three for red, green and blue, such as 4,3,2, or one"
        )
    return tuple(int(part) for part in text.split(","))
