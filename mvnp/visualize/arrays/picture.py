"""A model's input as a picture."""

from __future__ import annotations

import numpy as np

from ...backend import Array, to_numpy
from ...errors import InputError


def as_picture(image: Array) -> np.ndarray:
    """A model's input (1, C, H, W) as a picture, (H, W) or (H, W, 3) between 0 and 1: its own darkest and lightest.

    Three channels are taken for red, green and blue; any other number is averaged to grey.
    Raises InputError for values that are not finite.
    """
    pixels = to_numpy(image)[0].astype(np.float64)
    if not np.isfinite(pixels).all():
        raise InputError("the image has values that are not finite (NaN or infinity): there is nothing to draw")
    pixels = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels.mean(axis=0)
    low, high = pixels.min(), pixels.max()
    return (pixels - low) / max(high - low, 1e-12)
