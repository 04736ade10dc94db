"""What changes the values of a picture and leaves its places.

    image v    (H, W, C), uint8 in 0 … 255, or floating in 0 … 1    top m = 255, or 1

    auto_contrast    v ← (v − lo) m / (hi − lo), lo and hi the band's least and largest             (1)
    equalize         v ← such that all values are about equally frequent                            (2)
    invert           v ← m − v                                                                      (3)
    posterize        the k highest bits of v                                                        (4)
    solarize         v ← m − v where v ≥ τ                                                          (5)
    solarize_add     v ← min(m, v + a) where v < m/2                                                (6)
    blend            v ← base + q (v − base), cut to 0 … m                                          (7)

The four enhancements are (7), with a base that lacks what they strengthen: brightness 0, contrast the picture's mean grey,
color the grey of each pixel, sharpness the smoothed picture. q = 1 changes nothing, q = 0 gives the base, above 1 goes beyond.

For uint8 every result is Pillow's, bit for bit: (1) to (6) on whole numbers, (7) in float32 and truncated. What (2) and (4) do
is defined by grey levels, so they take uint8 alone; `color` takes 1 or 3 bands.

Cubuk et al.: AutoAugment, arXiv:1805.09501, table 6. Haeberli, Voorhies: Image processing by linear interpolation and
extrapolation (1994), for (7). Grey is luma by ITU-R BT.601.
"""

from __future__ import annotations

import numpy as np

from ...errors import InputError, shown


def auto_contrast(image: np.ndarray) -> np.ndarray:
    """(1), each band by itself; a band of one value stays."""
    lo, hi = (extreme(image, axis=(0, 1), keepdims=True) for extreme in (np.min, np.max))
    scale = _top(image) / np.where(hi > lo, hi.astype(np.float64) - lo, 1)
    return np.where(hi > lo, _cut(image * scale - lo * scale, image.dtype), image)


def equalize(image: np.ndarray) -> np.ndarray:
    """(2) for uint8, each band by itself.

    With n(u) pixels of value u, and s = ⌊(pixels − those of the largest value) / 255⌋,
    v ← min(255, ⌊(⌊s/2⌋ + Σ_u<v n(u)) / s⌋). A band of one value, and one with s = 0, stays.
    """
    _check_levels("equalize", image)
    bands = []
    for band in np.moveaxis(image, 2, 0):
        count = np.bincount(band.ravel())
        step = (band.size - count[band.max()]) // 255
        below = np.cumsum(count) - count
        bands.append(np.minimum(255, (step // 2 + below) // step).astype(np.uint8)[band] if step else band)
    return np.stack(bands, axis=2)


def invert(image: np.ndarray) -> np.ndarray:
    """(3)."""
    return (_top(image) - image).astype(image.dtype)


def posterize(image: np.ndarray, bits: int) -> np.ndarray:
    """(4) for uint8: k = bits, of 8; with none the picture is black."""
    _check_levels("posterize", image)
    if bits not in range(9):
        raise InputError(f"posterize: bits is {shown(bits)}, expected an integer from 0 to 8")
    return image & np.uint8(256 - (1 << (8 - int(bits))))


def solarize(image: np.ndarray, threshold: float) -> np.ndarray:
    """(5), τ = threshold in 256ths."""
    limit = threshold if image.dtype == np.uint8 else threshold / 256
    return np.where(image < limit, image, invert(image))


def solarize_add(image: np.ndarray, amount: float) -> np.ndarray:
    """(6), a = amount in 255ths."""
    if image.dtype == np.uint8:
        return np.where(image < 128, np.minimum(image.astype(np.int64) + amount, 255), image).astype(np.uint8)
    return np.where(image < 0.5, np.minimum(image + amount / 255, 1), image).astype(image.dtype)


def brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """(7) from black."""
    return blend(np.zeros_like(image), image, factor)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """(7) from the mean grey of the whole picture; where there are not three bands, from the mean of all."""
    mean = np.mean(grey(image) if image.shape[2] == 3 else image, dtype=np.float64)
    return blend(np.full_like(image, np.floor(mean + 0.5) if image.dtype == np.uint8 else mean), image, factor)


def color(image: np.ndarray, factor: float) -> np.ndarray:
    """(7) from each pixel's grey. A picture of one band is grey and stays."""
    if image.shape[2] == 1:
        return image
    return blend(np.broadcast_to(grey(image), image.shape), image, factor)


def sharpness(image: np.ndarray, factor: float) -> np.ndarray:
    """(7) from the picture under the filter [1 1 1; 1 5 1; 1 1 1] / 13, which leaves the outermost pixels as they are."""
    smooth = image.astype(np.float64)
    rows = smooth[:-2] + smooth[1:-1] + smooth[2:]
    smooth[1:-1, 1:-1] = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * smooth[1:-1, 1:-1]) / 13
    return blend(np.floor(smooth + 0.5) if image.dtype == np.uint8 else smooth, image, factor)


def grey(image: np.ndarray) -> np.ndarray:
    """Luma of three bands, (H, W, 1). Raises InputError for another number."""
    if image.shape[2] != 3:
        raise InputError(f"color: the picture has {image.shape[2]} bands, expected 1 (grey) or 3 (red, green, blue)")
    if image.dtype == np.uint8:
        luma = image.astype(np.int64) @ np.array([19595, 38470, 7471])
        return ((luma + 32768) >> 16).astype(np.uint8)[..., None]
    return (image @ np.array([0.299, 0.587, 0.114], image.dtype))[..., None]


def blend(base: np.ndarray, image: np.ndarray, factor: float) -> np.ndarray:
    """(7), q = factor."""
    base, image_ = base.astype(np.float32), image.astype(np.float32)
    return _cut(base + np.float32(factor) * (image_ - base), image.dtype)


def _top(image: np.ndarray) -> float:
    return 255 if image.dtype == np.uint8 else 1


def _cut(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Cut to what the dtype holds; for uint8 truncated as well."""
    return np.clip(values, 0, 255 if dtype == np.uint8 else 1).astype(dtype)


def _check_levels(operation: str, image: np.ndarray) -> None:
    if image.dtype != np.uint8:
        raise InputError(f"{operation}: the picture is {image.dtype}, expected uint8: it counts grey levels")
