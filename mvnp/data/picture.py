"""A picture from a file as it is stored, and its values as fractions of full brightness.

    stored                          asked for                    given by `read_picture`
    what image_file.py lists        1 or 3 channels              a Pillow image, L or RGB
    the same, with a range          1 or 3 channels              an array (H, W, C) of the stored values
    n bands (bands.py, RGBA, …)     n channels                   an array (H, W, n) of the stored values

No band is ever left out: another number of bands than was asked for is refused. Grey alone becomes colour, three times the
same, and colour becomes grey, as Pillow does it.

A range (a, b) says which stored values are black and white:  fraction = min(1, max(0, (v − a) / (b − a)))             (1)

Without one, it is that of the dtype, 0 to 255 or 0 to 65535; floating values are fractions already.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from ..errors import DataWarning, InputError, are_numbers, refusing, shown
from .bands import NPY_MAGIC, TIFF_MAGICS, ZIP_MAGIC, read_numpy, read_tiff, tiff_layout
from .deep_png import is_deep_png, read_deep_png
from .image_file import MAX_BYTES, NeedsRangeError, as_8_bit, loaded, opened, other_bands, reading, warn_if_narrow

ValueRange = tuple[float, float] | str | None

FOUND_RANGES = ("auto", "percentile")  # looked for in the values: the smallest and largest, or 2 % and 98 % of them
PERCENTILES = (2.0, 98.0)

_LUMA = (0.299, 0.587, 0.114)  # of red, green, blue: ITU-R BT.601, as Pillow's "L"
_ALL_BANDS = {2: ("LA",), 4: ("RGBA", "CMYK")}  # modes of Pillow that are taken as they are stored


def checked_range(owner: str, value: Any) -> ValueRange:
    """A range as it is kept: two numbers, one of FOUND_RANGES, or None. Raises InputError for anything else."""
    if value is None or value in FOUND_RANGES:
        return value
    pair = tuple(value) if isinstance(value, list | tuple) else ()
    if not are_numbers(pair, 2) or not pair[0] < pair[1]:
        raise InputError(
            f"{owner}: value_range is {shown(value)}, expected two numbers, the smaller first, or one of"
            f" {', '.join(FOUND_RANGES)}"
        )
    return float(pair[0]), float(pair[1])


def parsed_range(text: str) -> ValueRange:
    """`0:4095`, `auto` or `percentile`. Raises ValueError for anything else."""
    if text in FOUND_RANGES:
        return text
    match = re.fullmatch(r"\s*([^:\s]+)\s*:\s*([^:\s]+)\s*", text)
    low, high = (float(part) for part in match.groups()) if match else (0.0, 0.0)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"{text!r} is no range; expected the values of black and white, such as 0:4095, or auto or percentile")
    return low, high


@refusing
def read_picture(
    path: str | os.PathLike[str],
    channels: int | None,
    value_range: ValueRange = None,
    *,
    least: int | None = None,
    max_bytes: int = MAX_BYTES,
) -> Image.Image | np.ndarray:
    """The picture in a file: upright and opaque, "L" or "RGB"; or all its bands as they are stored, (H, W, C).

    channels       what is asked for; None: what there is
    value_range    of (1); given, the values come as they are stored
    least          as for `open_image`
    max_bytes      what it may take once it is decoded

    Raises DataError that names the file, where it has another number of bands too; MissingPackageError for a TIFF that only
    tifffile reads.
    """
    path = Path(path)

    def take(file: BinaryIO) -> Image.Image | np.ndarray:
        magic = file.read(8)
        file.seek(0)
        if magic.startswith((NPY_MAGIC, ZIP_MAGIC)):
            return _as_asked(read_numpy(path, file, max_bytes), channels)
        if magic.startswith(TIFF_MAGICS):
            layout = tiff_layout(file)
            pages = _pages(path, file, max_bytes) if layout.samples == 1 else 1
            # One note for all pages says that they are bands of one picture.
            asked = channels not in (1, 3) or layout.noted
            several = pages > 3 if channels is None else pages > 1 and asked
            if pages > 1 and channels in (1, 3) and not several:
                _warn_of_pages(path, file, pages, max_bytes)
            deep = layout.samples > 1 and layout.bits > 8
            if not layout.photograph or several or (deep and value_range is not None):
                return _as_asked(read_tiff(path, file, channels, max_bytes), channels)
        else:
            deep = is_deep_png(file)
            if deep and (value_range is not None or channels not in (None, 1, 3)):
                return _as_asked(read_deep_png(path, file, channels, max_bytes), channels)
        file.seek(0)
        image = loaded(path, file, least, max_bytes)
        if channels in (None, 1, 3) and value_range is None and image.mode != "F":
            seen = as_8_bit(image, path)
            if deep:
                low, high = _extent(np.asarray(seen))
                warn_if_narrow(path, 257 * low, 257 * high, (0, 65535))
            return seen
        return _as_asked(_stored(image, channels), channels)

    return reading(path, take)


def bands_of(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> tuple[int, int, int, str]:
    """(height, width, bands, depth) of a picture, as its header says; its pixels are not decoded where that can be helped.

    Of photographs the bands are 1 or 3, opacity not counted. depth: "8 bits", "uint16", …
    """
    path = Path(path)

    def take(file: BinaryIO) -> tuple[int, int, int, str]:
        magic = file.read(8)
        file.seek(0)
        if magic.startswith((NPY_MAGIC, ZIP_MAGIC)):
            return _described(read_numpy(path, file, max_bytes))
        if magic.startswith(TIFF_MAGICS):
            layout = tiff_layout(file)
            if not layout.photograph or (layout.samples == 1 and _pages(path, file, max_bytes) > 3):
                return _described(read_tiff(path, file, None, max_bytes))
            file.seek(0)
        image = opened(path, file, 64 * max_bytes)
        grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith(("I", "F"))
        depth = {"I": "16 bits", "F": "float32"}.get(image.mode[:1], "16 bits" if is_deep_png(file) else "8 bits")
        return image.height, image.width, 1 if grey else 3, depth

    return reading(path, take)


def fractions(pixels: np.ndarray, value_range: ValueRange, name: Any = "the picture") -> np.ndarray:
    """Stored values (H, W, C) as fractions, float32, by (1); 8 bits without a range stay as they are, uint8.

    Raises ValueError for values that are not finite, and where a range is needed. Warns of a range that is hardly used.
    """
    return _scaled(pixels, _range_for(pixels, value_range, name))


def planes(pixels: np.ndarray, value_range: ValueRange, name: Any) -> Iterator[Image.Image]:
    """The bands of `fractions` one by one, so that memory holds one, as Pillow's images of mode "L" or "F"."""
    found = _range_for(pixels, value_range, name)
    return (Image.fromarray(np.ascontiguousarray(_scaled(pixels[..., band], found))) for band in range(pixels.shape[2]))


def joined(bands: list[np.ndarray]) -> np.ndarray:
    """(H, W, C) of bands that were resized: bicubic weights may lead beyond black and white."""
    pixels = np.stack(bands, axis=2)
    return np.clip(pixels, 0, 255 if pixels.dtype == np.uint8 else 1, out=pixels)


def _range_for(pixels: np.ndarray, value_range: ValueRange, name: Any) -> tuple[float, float] | None:
    """(a, b) of (1); None: the values are 8 bits, or fractions already."""
    if isinstance(value_range, str):
        return found_range(pixels, value_range)
    if value_range is None:
        if pixels.dtype in (np.uint8, bool):
            return None
        low, high = _extent(pixels)
        if pixels.dtype.kind == "f" and (low < 0.0 or high > 1.0):
            raise NeedsRangeError(f"its values, {pixels.dtype}, go from {low:g} to {high:g}, expected 0 to 1")
        if pixels.dtype.kind != "f" and pixels.dtype != np.uint16:
            raise NeedsRangeError(f"its values, {pixels.dtype}, go from {low:g} to {high:g}, expected uint8 or uint16")
        if pixels.dtype.kind == "f":
            return None
    bounds = value_range or (0.0, 65535.0)
    warn_if_narrow(name, *_extent(pixels), bounds)
    return bounds


def _scaled(pixels: np.ndarray, bounds: tuple[float, float] | None) -> np.ndarray:
    if bounds is None:
        if pixels.dtype == bool:
            return pixels.astype(np.uint8) * np.uint8(255)
        return pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    least, most = bounds
    wide: Any = np.float32 if pixels.dtype.itemsize <= 2 or pixels.dtype == np.float32 else np.float64
    values = pixels.astype(wide)
    values -= least
    values /= most - least
    return np.clip(values, 0.0, 1.0, out=values).astype(np.float32, copy=False)


def found_range(values: np.ndarray, how: str) -> tuple[float, float]:
    """The range that "auto" or "percentile" mean for these values; one of width 1 where all are the same."""
    low, high = _extent(values)
    if how == "percentile":
        low, high = (float(edge) for edge in np.percentile(values, PERCENTILES))
    return (low, high) if low < high else (low, low + 1.0)


def _extent(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        count = int((~np.isfinite(values)).sum())
        raise ValueError(f"{count} of its {values.size} values are not finite (NaN or infinite); fill them in first")
    return low, high


def fitted_bands(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, C) in as many channels as are asked for: grey three times over for colour, colour weighted for grey.

    Raises ValueError for any other number of bands: none is left out.
    """
    bands = pixels.shape[2]
    if bands == channels:
        return pixels
    if bands == 1 and channels == 3:
        return np.repeat(pixels, 3, axis=2)
    if bands == 3 and channels == 1:
        grey: Any = sum(weight * pixels[..., band : band + 1] for band, weight in enumerate(_LUMA))
        return (np.rint(grey) if pixels.dtype.kind in "iu" else grey).astype(pixels.dtype)
    raise other_bands(bands, channels)


def _as_asked(pixels: np.ndarray, channels: int | None) -> np.ndarray:
    return pixels if channels is None else fitted_bands(pixels, channels)


def _stored(image: Image.Image, channels: int | None) -> np.ndarray:
    """(H, W, C) of the values of a Pillow image."""
    if 0 in image.size:
        raise ValueError(f"it is {image.width}x{image.height} pixels")
    taken = image if image.mode[:1] in "IF" or image.mode in _ALL_BANDS.get(channels or 0, ()) else as_8_bit(image)
    pixels = np.asarray(taken)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _described(pixels: np.ndarray) -> tuple[int, int, int, str]:
    height, width, bands = pixels.shape
    return height, width, bands, "8 bits" if pixels.dtype == np.uint8 else str(pixels.dtype)


def _warn_of_pages(path: Path, file: BinaryIO, pages: int, max_bytes: int) -> None:
    """Of a document the first page is the picture; pages that are as large as each other may be bands, which is said."""
    file.seek(0)
    image = opened(path, file, 64 * max_bytes)
    size = image.size
    image.seek(1)
    if image.size == size:
        warnings.warn(
            f"{path}: has {pages} grey pictures of one size, and the first is taken. Where they are its bands, say so:"
            f" --channels {pages} (channels in Python)",
            DataWarning,
            stacklevel=2,
        )


def _pages(path: Path, file: BinaryIO, max_bytes: int) -> int:
    file.seek(0)
    try:
        return int(getattr(opened(path, file, 64 * max_bytes), "n_frames", 1))
    except Exception:  # pages that Pillow does not know may still be known to tifffile
        return 4
