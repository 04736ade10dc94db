"""Random resized crop: some part of the picture, stretched to the size that the network sees.

    H, W the picture    tries t = 1 … 10:

    A = H W U(s₀, s₁)        r = e^U(ln r₀, ln r₁)        w = round √(A r)        h = round √(A / r)        (1)

The first that fits, w ≤ W and h ≤ H, is cut at a place that is equally likely everywhere. Where none fits, it is the largest
part in the middle whose ratio W/H lies within r₀ … r₁. Cut first, resized then: pixels outside of the part have no say.

Resizing is antialiased, bilinear (a triangle of one pixel's width) or bicubic (Keys, a = −½), and for uint8 it is Pillow's.

Szegedy et al.: Going deeper with convolutions, arXiv:1409.4842, section 6, with the limits 0.08 … 1 and 3/4 … 4/3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ...errors import InputError, check_choice, refusing
from .checks import check_picture, checked_size
from .warp import INTERPOLATIONS

TRIES = 10
_PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

Box = tuple[int, int, int, int]  # top, left, height, width


class RandomResizedCrop:
    """(1), and the resizing.

    size             (height, width) of the result
    scale, ratio     s₀, s₁ and r₀, r₁
    interpolation    "bilinear", "bicubic", or "random": one of both for each picture
    """

    @refusing
    def __init__(
        self,
        size: tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: str = "random",
    ) -> None:
        check_choice("interpolation", interpolation, (*INTERPOLATIONS, "random"))
        for name, (least, most) in (("scale", scale), ("ratio", ratio)):
            if not 0 < least <= most < math.inf:
                raise InputError(f"RandomResizedCrop: {name} is {(least, most)}, expected two numbers above 0 in order")
        self.size, self.scale, self.ratio = checked_size("RandomResizedCrop", size), scale, ratio
        self.interpolation = interpolation

    def draw(self, height: int, width: int, rng: np.random.Generator) -> tuple[Box, str]:
        """The part to cut, and how it is resized."""
        draws, (down, right, bicubic) = rng.random((TRIES, 2)), rng.random(3)
        way = INTERPOLATIONS[int(bicubic > 0.5)] if self.interpolation == "random" else self.interpolation
        for area, shape in draws:
            h, w = crop_size(height, width, area, shape, self.scale, self.ratio)
            if h <= height and w <= width:
                return (int(down * (height - h + 1)), int(right * (width - w + 1)), h, w), way
        return whole_crop(height, width, self.ratio), way

    @refusing
    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A part of the picture (H, W, C), uint8 or floating, at `size`."""
        check_picture("RandomResizedCrop", image)
        (top, left, h, w), way = self.draw(image.shape[0], image.shape[1], rng)
        return resized(image[top : top + h, left : left + w], self.size, way)


def crop_size(
    height: int, width: int, area: float, shape: float, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[int, int]:
    """(h, w) of (1), for two uniform draws `area` and `shape` from 0 … 1."""
    low, high = math.log(ratio[0]), math.log(ratio[1])
    a, r = height * width * (scale[0] + (scale[1] - scale[0]) * area), math.exp(low + (high - low) * shape)
    return round(math.sqrt(a / r)), round(math.sqrt(a * r))


def whole_crop(height: int, width: int, ratio: tuple[float, float]) -> Box:
    """The largest part in the middle whose width over height lies within `ratio`."""
    h, w = height, width
    if width / height < ratio[0]:
        h = round(width / ratio[0])
    elif width / height > ratio[1]:
        w = round(height * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


@refusing
def resized(image: np.ndarray, size: Sequence[int], interpolation: str = "bilinear") -> np.ndarray:
    """The picture (H, W, C) at (height, width) = size, in its dtype; each band by itself, so there may be any number."""
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    check_picture("resized", image)
    height, width = checked_size("resized", size)
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), _PILLOW[interpolation]))
    bands = [band if band.dtype == np.uint8 else band.astype(np.float32) for band in np.moveaxis(image, 2, 0)]
    pictures = [Image.fromarray(np.ascontiguousarray(band)).resize((width, height), _PILLOW[interpolation]) for band in bands]
    return np.stack([np.asarray(picture) for picture in pictures], axis=2).astype(image.dtype)
