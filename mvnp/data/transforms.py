"""What happens to pictures before a model sees them: flip, crop, standardise, resize. All on the host, in batches.

    stored    uint8 (B, H, W, C), as pictures are, or float32, fractions of full brightness, of any number of bands
    given     float32 (B, C, H', W'), as models take them

Resizing is bilinear and separable, so it is two matrix products, y = R_h x R_wᵀ for each channel, with

    R[i, j] ∝ max(0, 1 − |j + ½ − (i + ½) s| / max(s, 1))      s = n_in / n_out,  rows summing to one        (1)

Enlarging interpolates between the two nearest pixels; shrinking widens the triangle to s pixels, so that none is
skipped (no aliasing). This is what Pillow's BILINEAR does, and PyTorch's `interpolate` with `antialias=True`.
Rows that sum to one leave a constant as it is, so pictures are standardised first, where they are small.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from ..errors import InputError, refusing
from .folder import Size, sides_of

CROP_FILLS = {"zero": "constant", "reflect": "reflect"}  # our word, and that of np.pad


@functools.lru_cache(maxsize=32)
def resize_matrix(n_in: int, n_out: int) -> np.ndarray:
    """R of (1), float32 (n_out, n_in)."""
    scale = n_in / n_out
    centre = (np.arange(n_out)[:, None] + 0.5) * scale
    weight = np.maximum(0.0, 1.0 - np.abs(np.arange(n_in) + 0.5 - centre) / max(scale, 1.0))
    matrix = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    matrix.flags.writeable = False  # shared by all callers through the cache
    return matrix


@refusing
def resize(x: np.ndarray, image_size: Size) -> np.ndarray:
    """Bilinear resize of float32 (B, C, H, W) to a side, or to (H', W')."""
    height, width = x.shape[-2:]
    new_height, new_width = sides_of(image_size)
    if new_width != width:
        x = x @ resize_matrix(width, new_width).T
    if new_height != height:
        x = resize_matrix(height, new_height) @ x
    return x


@refusing
def prepare(images: np.ndarray, image_size: Size, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Pictures (B, H, W, C) to what a model takes: (image/255 − mean) / std, resized, float32 (B, C, H', W').

    images       uint8; or float32, which is not divided by 255
    image_size   side, or (H', W')
    mean, std    one number for each channel, as fractions of full brightness
    """
    full = 255.0 if images.dtype == np.uint8 else 1.0
    # (v/255 − m) / s as one multiplication and one addition for each pixel
    factor = np.array([1.0 / (full * s) for s in std], np.float32)[:, None, None]
    shift = np.array([-m / s for m, s in zip(mean, std, strict=True)], np.float32)[:, None, None]
    x = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    x *= factor
    x += shift
    return np.ascontiguousarray(resize(x, image_size))


def flip(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mirror left to right the images (B, H, W, C) that the bool mask `chosen` (B,) names."""
    return np.where(chosen[:, None, None, None], images[:, :, ::-1], images)


def crop(images: np.ndarray, top: np.ndarray, left: np.ndarray, padding: int, fill: str = "zero") -> np.ndarray:
    """Pad (B, H, W, C) by `padding` pixels on every side, and cut H × W again at (top, left), integers (B,) in [0, 2·padding].

    fill    "zero": black; "reflect": mirrored at the edge
    """
    height, width = images.shape[1:3]
    if fill == "reflect" and padding >= min(height, width):
        raise InputError(
            f"crop: padding of {padding} cannot be reflected in a {height}x{width} image; expected less than its side"
        )
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = np.pad(images, around, mode=CROP_FILLS[fill])  # type: ignore[call-overload]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))  # (B, …, …, C, H, W), a view
    return windows[np.arange(len(images)), top, left].transpose(0, 2, 3, 1)
