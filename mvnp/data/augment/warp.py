"""What moves the pixels of a picture: affine maps, read backwards.

    image v, result (H, W, C), uint8 or floating in 0 … 1    pixel (i, j), row and column, has its centre at (j + ½, i + ½)

    source of (x, y):    x' = a x + b y + c        y' = d x + e y + f            (1)

The result at a pixel is the picture at its source: `fill` where that lies outside of [0, W) × [0, H), else interpolated
between pixels, the nearest one standing for those beyond the edge. With t the distance to the pixel on the left,

    bilinear    v₁ + t (v₂ − v₁)                                                 (2)
    bicubic     v₁ + t ((v₂ − v₀) + t ((2v₀ − 2v₁ + v₂ − v₃) + t (−v₀ + v₁ − v₂ + v₃)))          (3)

along the row first, then down; the result is cut to the range of the dtype. For uint8 it is truncated. So Pillow's `transform`
does it, bit for bit and sixty times faster: uint8 goes through that, other dtypes through the formulas.

    rotate         by an angle about (W/2, H/2), counter-clockwise as one looks at it
    shear          x' = x + s y, or y' = y + s x: about the upper left corner
    translate      x' = x + t W, or y' = y + t H: by a share of the side, to the part of a pixel

Keys: Cubic convolution interpolation for digital image processing (1981), for (3): a = −1 there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ...errors import check_choice
from .checks import checked_fill

INTERPOLATIONS = ("bilinear", "bicubic")

Matrix = tuple[float, float, float, float, float, float]  # a, b, c, d, e, f of (1)


def rotate(image: np.ndarray, degrees: float, fill: Sequence[float], interpolation: str = "bilinear") -> np.ndarray:
    """Turned counter-clockwise about its centre; what comes in at the corners is `fill`, a number for each band,
    or one for all."""
    if degrees % 360 == 0:
        return image.copy()
    angle = math.radians(degrees)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    cx, cy = image.shape[1] / 2, image.shape[0] / 2
    # Rows of the picture count downwards, so the source of a counter-clockwise turn is at the clockwise angle.
    return warp(image, (cos, -sin, cos * -cx + -sin * -cy + cx, sin, cos, sin * -cx + cos * -cy + cy), fill, interpolation)


def shear_x(image: np.ndarray, share: float, fill: Sequence[float], interpolation: str = "bilinear") -> np.ndarray:
    """Rows moved sideways, by `share` of how far down they are."""
    return warp(image, (1, share, 0, 0, 1, 0), fill, interpolation)


def shear_y(image: np.ndarray, share: float, fill: Sequence[float], interpolation: str = "bilinear") -> np.ndarray:
    """Columns moved up or down, by `share` of how far to the right they are."""
    return warp(image, (1, 0, 0, share, 1, 0), fill, interpolation)


def translate_x(image: np.ndarray, share: float, fill: Sequence[float], interpolation: str = "bilinear") -> np.ndarray:
    """Moved to the left by `share` of the width."""
    return warp(image, (1, 0, share * image.shape[1], 0, 1, 0), fill, interpolation)


def translate_y(image: np.ndarray, share: float, fill: Sequence[float], interpolation: str = "bilinear") -> np.ndarray:
    """Moved up by `share` of the height."""
    return warp(image, (1, 0, 0, 0, 1, share * image.shape[0]), fill, interpolation)


def warp(image: np.ndarray, matrix: Matrix, fill: Sequence[float], interpolation: str = "bilinear") -> np.ndarray:
    """The picture (H, W, C) read at the sources (1) of its pixels."""
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    fill = checked_fill("warp", fill, image)
    if image.dtype == np.uint8:
        return warp_by_pillow(image, matrix, fill, interpolation)
    return warp_by_formula(image, matrix, fill, interpolation)


def warp_by_pillow(image: np.ndarray, matrix: Matrix, fill: Sequence[float], interpolation: str = "bilinear") -> np.ndarray:
    """The same for uint8."""
    way = Image.Resampling.BILINEAR if interpolation == "bilinear" else Image.Resampling.BICUBIC
    size = image.shape[1], image.shape[0]

    def moved(pixels: np.ndarray, colour: int | tuple[int, ...]) -> np.ndarray:
        picture = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(picture.transform(size, Image.Transform.AFFINE, matrix, way, fillcolor=colour))

    colours = [int(value) for value in fill]
    if image.shape[2] == 3:
        return moved(image, tuple(colours))
    return np.stack([moved(band, colour) for band, colour in zip(np.moveaxis(image, 2, 0), colours, strict=True)], axis=2)


def warp_by_formula(image: np.ndarray, matrix: Matrix, fill: Sequence[float], interpolation: str = "bilinear") -> np.ndarray:
    """(1) to (3), of any dtype."""
    height, width = image.shape[:2]
    y, x = (axis + 0.5 for axis in np.mgrid[:height, :width])
    a, b, c, d, e, f = matrix
    source_x, source_y = a * x + b * y + c, d * x + e * y + f  # (1)
    inside = (source_x >= 0) & (source_x < width) & (source_y >= 0) & (source_y < height)
    left, across = _split(source_x - 0.5)
    upper, down = _split(source_y - 0.5)
    mix, offsets = (_linear, (0, 1)) if interpolation == "bilinear" else (_cubic, (-1, 0, 1, 2))
    values = image.astype(np.float64)
    columns = [np.clip(left + offset, 0, width - 1) for offset in offsets]
    rows = [mix(across, *(values[np.clip(upper + offset, 0, height - 1), column] for column in columns)) for offset in offsets]
    found = np.clip(mix(down, *rows), 0, 255 if image.dtype == np.uint8 else 1)
    return np.where(inside[..., None], found.astype(image.dtype), np.asarray(fill).astype(image.dtype))


def _split(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pixel on the left, and how far beyond its centre."""
    floor = np.floor(place)
    return floor.astype(np.int64), (place - floor)[..., None]


def _linear(t: np.ndarray, v1: np.ndarray, v2: np.ndarray) -> np.ndarray:
    return v1 + (v2 - v1) * t  # (2)


def _cubic(t: np.ndarray, v0: np.ndarray, v1: np.ndarray, v2: np.ndarray, v3: np.ndarray) -> np.ndarray:
    p2, p3, p4 = -v0 + v2, 2 * (v0 - v1) + v2 - v3, -v0 + v1 - v2 + v3
    return v1 + t * (p2 + t * (p3 + t * p4))  # (3)
