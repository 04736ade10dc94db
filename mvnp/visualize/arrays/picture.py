"""A model's input as a picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from ...backend import Array, to_numpy
from ...errors import InputError, check_array

_shown: tuple[int, ...] | None = None


@contextlib.contextmanager
def showing(bands: tuple[int, ...] | None) -> Iterator[None]:
    """While this context lasts, all figures show these bands of a picture: three, for red, green and blue, or one, as grey.

    They are counted from 1. None: three bands are red, green and blue, and any other number is averaged. Raises InputError for
    others.
    """
    global _shown
    if bands is not None and (len(bands) not in (1, 3) or not all(isinstance(band, int) and band >= 1 for band in bands)):
        raise InputError(f"showing: bands are {bands!r}, expected three numbers, or one, from 1, or None")
    before, _shown = _shown, bands
    try:
        yield
    finally:
        _shown = before


def as_picture(image: Array) -> np.ndarray:
    """A model's input (1, C, H, W) as a picture, (H, W) or (H, W, 3) between 0 and 1: its own darkest and lightest.

    Three channels are taken for red, green and blue; any other number is averaged to grey. `showing` says otherwise.
    Raises InputError for values that are not finite, and for bands that the image does not have.
    """
    check_array("a picture to draw", "image", image, "BCHW")
    pixels = to_numpy(image)[0].astype(np.float64)
    if not np.isfinite(pixels).all():
        raise InputError("the image has values that are not finite (NaN or infinity): there is nothing to draw")
    if _shown is not None:
        if max(_shown) > len(pixels):
            raise InputError(
                f"bands to be shown are {', '.join(map(str, _shown))}, and the image has {len(pixels)}; expected numbers from 1"
                f" to {len(pixels)}"
            )
        pixels = pixels[[band - 1 for band in _shown]]
    pixels = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels.mean(axis=0)
    low, high = pixels.min(), pixels.max()
    return (pixels - low) / max(high - low, 1e-12)
