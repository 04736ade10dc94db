"""Colour jitter: brightness, contrast and saturation by a factor each, in an order that is drawn.

    q ~ U(max(0, 1 − strength), 1 + strength) for each of the three        v ← base + q (v − base)        colour.py, (7)

The order matters, as what is cut at black and white is lost to the next. It is not used beside RandAugment, whose operations
do the same and more. A picture that is neither grey nor red, green, blue keeps its saturation.

Krizhevsky et al.: ImageNet classification with deep convolutional neural networks (2012), section 4.1, began it; the form is
that of Howard: Some improvements on deep convolutional neural network based image classification, arXiv:1312.5402, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import InputError, refusing
from .checks import check_picture
from .colour import brightness, color, contrast

JITTERED = {"brightness": brightness, "contrast": contrast, "saturation": color}


class ColourJitter:
    """Factors within 1 ± `strength`, for a picture (H, W, C)."""

    @refusing
    def __init__(self, strength: float = 0.4) -> None:
        if not strength >= 0:
            raise InputError(f"ColourJitter: strength is {strength!r}, expected at least 0")
        self.strength = strength

    def draw(self, rng: np.random.Generator) -> list[tuple[str, float]]:
        """(name, factor) of the three, in order."""
        factors = rng.uniform(max(0.0, 1 - self.strength), 1 + self.strength, len(JITTERED))
        names = list(JITTERED)
        return [(names[index], float(factors[index])) for index in rng.permutation(len(names))]

    @refusing
    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        check_picture("ColourJitter", image)
        return jittered(image, self.draw(rng))


def jittered(image: np.ndarray, factors: Sequence[tuple[str, float]]) -> np.ndarray:
    """The picture after factors in order."""
    for name, factor in factors:
        if name != "saturation" or image.shape[2] in (1, 3):
            image = JITTERED[name](image, factor)
    return image
