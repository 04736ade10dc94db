"""What pictures the functions here take, and what sizes they give."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import MOST_SIDE, InputError, shown


def check_picture(owner: str, image: Any) -> None:
    """Raise InputError unless it is a picture (height, width, bands), uint8 or floating, with a pixel and a band at least."""
    if not isinstance(image, np.ndarray):
        raise InputError(f"{owner}: the picture is a {type(image).__name__}, expected a NumPy array (height, width, bands)")
    if image.ndim != 3 or not image.size:
        grey = "; give a grey one an axis: image[..., None]" if image.ndim == 2 and image.size else ""
        raise InputError(f"{owner}: the picture has shape {image.shape}, expected (height, width, bands), none of them 0{grey}")
    if image.dtype != np.uint8 and image.dtype.kind != "f":
        raise InputError(f"{owner}: the picture is {image.dtype}, expected uint8, or floating from 0 to 1; convert it first")


def checked_fill(owner: str, fill: Any, image: np.ndarray) -> tuple[float, ...]:
    """A number for each band of a picture. Raises InputError for another count, and for what the picture cannot hold."""
    values, bands, top = tuple(fill), image.shape[2], 255 if image.dtype == np.uint8 else 1
    if len(values) not in (1, bands):
        raise InputError(
            f"{owner}: fill has {len(values)} numbers, and the picture {bands} band{'s' * (bands > 1)}; expected one for each,"
            " or one for all"
        )
    if not all(0 <= value <= top for value in values):
        raise InputError(
            f"{owner}: fill is {shown(values)}, expected from 0 to {top}, as a picture of {image.dtype} has values"
        )
    return values * (bands if len(values) == 1 else 1)


def checked_size(owner: str, size: Any) -> tuple[int, int]:
    """(height, width). Raises InputError unless it is two integers from 1 to MOST_SIDE."""
    sides = tuple(size) if isinstance(size, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and 1 <= side <= MOST_SIDE for side in sides):
        raise InputError(f"{owner}: size is {shown(size)}, expected (height, width), integers from 1 to {MOST_SIDE}")
    return int(sides[0]), int(sides[1])
