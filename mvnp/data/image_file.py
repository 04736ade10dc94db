"""One picture from a file, whatever it is stored as, as 8-bit grey or RGB.

    stored                          given
    grey, 1 or 8 bits               L
    grey, 16 bits                   L, v/257 rounded: 65535 becomes 255
    colours, palette                RGB
    CMYK, YCbCr                     RGB, by Pillow's own formulas (a colour profile is not applied)
    with transparency               as it looks on white
    several pictures (GIF, TIFF)    the first

Other bands, depths and ranges: picture.py.

A camera notes how it was held in the EXIF orientation tag; the picture is turned accordingly. timm and torchvision leave the
tag alone, and drop transparency instead of looking through it: for files with neither, which nearly all photographs are once
they were edited, the pixels are the same.

A file is only a claim. What it would take decoded, width x height x bands x bytes, is read from its header and compared with a
limit before anything is decoded. Formats that are programs (PostScript) or that other programs would have to open are left
out, whatever a file is called.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageOps

from ..errors import DataError, DataWarning, MvnpError, refusing
from .regular import open_regular

T = TypeVar("T")

# What Pillow calls them; which of them it can read depends on how it was built.
FORMATS = ("PNG", "JPEG", "MPO", "TIFF", "WEBP", "AVIF", "GIF", "BMP", "DIB", "JPEG2000", "PPM", "PCX", "SGI", "QOI")
BY_ENDING_ALONE = {".tga": "TGA"}  # a format that nothing in the file tells from noise

MAX_BYTES = 200_000_000  # what one picture may take once it is decoded: 66 megapixels of colour

# Bytes a pixel, as decoded.
_DEPTHS = {
    "1": 1,
    "L": 1,
    "P": 4,
    "LA": 2,
    "PA": 4,
    "RGB": 3,
    "YCbCr": 3,
    "LAB": 3,
    "HSV": 3,
    "I;16": 2,
    "I;16B": 2,
    "I;16L": 2,
}

_pillow_limit = threading.Lock()


@refusing
def open_image(path: str | os.PathLike[str], *, least: int | None = None, max_bytes: int = MAX_BYTES) -> Image.Image:
    """The picture in a file: turned upright, opaque, of mode "L" or "RGB", 8 bits a channel.

    least        a JPEG may be decoded at a fraction of its size, as long as both sides keep at least this many pixels: faster,
                 and not quite what resizing the whole of it gives. None: as it is.
    max_bytes    what it may take once it is decoded

    Raises DataError that names the file where it is missing, no picture, damaged, cut off or too large to unpack. Warns
    (DataWarning) of 16 bits of which a picture uses less than a tenth.
    """
    path = Path(path)
    return reading(path, lambda file: as_8_bit(loaded(path, file, least, max_bytes), path))


def as_8_bit(image: Image.Image, name: str | os.PathLike[str] = "the image") -> Image.Image:
    """A Pillow image of any mode as "L" or "RGB", over white where it is transparent. Raises ValueError for float pixels."""
    if 0 in image.size:
        raise ValueError(f"it is {image.width}x{image.height} pixels")
    if image.mode.startswith(("I", "F")):
        return _from_16_bit(image, name)
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
        return opaque.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def reading(path: Path, take: Callable[[BinaryIO], T]) -> T:
    """What `take` makes of the file. Whatever it runs into becomes a DataError that names the file."""
    with naming(path), open_regular(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise ValueError("the file is empty")
        return take(file)


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever goes wrong with a picture becomes a DataError that names its file."""
    try:
        yield
    except (MvnpError, DataWarning):
        raise
    except BandsError as error:
        raise DataError(f"{path}: {error}") from error
    except NeedsRangeError as error:
        raise DataError(
            f"{path}: cannot be read as a picture ({error}); say which values are black and white, with --range min:max, auto"
            " or percentile (value_range in Python)"
        ) from error
    except Exception as error:  # on damaged files decoders raise whatever they happen to run into
        raise DataError(f"{path}: cannot be read as a picture ({_reason(error)}); replace or remove it") from error


class BandsError(ValueError):
    """Another number of bands than was asked for: no fault of the file."""


def other_bands(bands: int, channels: int) -> BandsError:
    """To be raised of a picture of `bands`, of which `channels` were asked for."""
    return BandsError(
        f"has {bands} bands, and the model takes {channels}; none is left out: give pictures of {channels} bands, or a model of"
        f" {bands} (--channels {bands}; channels, or in_chans of a model, in Python)"
    )


class NeedsRangeError(ValueError):
    """Values that are no brightness until somebody says which of them are black and white."""


def check_size(path: str | os.PathLike[str], width: int, height: int, depth: int, max_bytes: int) -> None:
    """Raise DataError where width x height pixels of `depth` bytes, all bands together, take more than `max_bytes`."""
    needed = width * height * depth
    if needed > max_bytes:
        raise DataError(
            f"{path}: its header declares {width}x{height} pixels, {needed / 1e6:,.0f} MB once they are decoded, expected at"
            f" most {max_bytes / 1e6:,.0f} MB; if the file is sound, allow more with --picture-limit {-(-needed // 1_000_000)}"
            " (max_bytes in Python)"
        )


def opened(path: Path, file: BinaryIO, max_bytes: int) -> Image.Image:
    """The picture, nothing of it decoded yet, and not above the limit."""
    with warnings.catch_warnings(), _pillow_limit:
        warnings.simplefilter("ignore")  # of large pictures, and of oddities that do not hinder the decoder
        own, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is below, and can be raised
        try:
            image = Image.open(file, formats=_formats(path.suffix.lower()))
        finally:
            Image.MAX_IMAGE_PIXELS = own
    check_size(path, *image.size, _DEPTHS.get(image.mode, 4), max_bytes)
    return image


def loaded(path: Path, file: BinaryIO, least: int | None, max_bytes: int) -> Image.Image:
    """The picture, decoded and turned upright, of whatever mode it is stored in."""
    # The decoder of progressive JPEGs keeps all coefficients, at whatever fraction it decodes.
    image = opened(path, file, max_bytes if least is None else max(max_bytes, _largest_drafted(max_bytes)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if least is not None and not image.info.get("progressive"):
            image.draft(None, (least, least))
        check_size(path, *image.size, _DEPTHS.get(image.mode, 4), max_bytes)
        return upright(image)


def upright(image: Image.Image) -> Image.Image:
    """The picture decoded, and turned as its EXIF tag says."""
    image.load()  # here a damaged picture raises, and not where its tags are read, which may be damaged on their own
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the tags make no sense: the picture is taken as it is stored
        return image


def _largest_drafted(max_bytes: int) -> int:
    return 64 * max_bytes  # a JPEG is decoded at an eighth of its sides at the least


@functools.cache
def _formats(ending: str) -> tuple[str, ...]:
    """The formats that a file of this ending may be of, as far as this Pillow knows them."""
    Image.init()
    wanted = (*FORMATS, *([BY_ENDING_ALONE[ending]] if ending in BY_ENDING_ALONE else []))
    return tuple(name for name in wanted if name in Image.OPEN)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _from_16_bit(image: Image.Image, name: Any) -> Image.Image:
    """Pillow has four modes for grey pixels of more than 8 bits, and clips them at 255 where it converts them."""
    pixels = np.asarray(image)
    if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
        raise NeedsRangeError(f"its pixels are of Pillow's mode {image.mode}, expected 8 or 16 bits")
    warn_if_narrow(name, float(pixels.min()), float(pixels.max()), (0, 65535))
    grey = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    clear = image.info.get("transparency")  # the one value that a PNG may declare transparent
    if isinstance(clear, int):
        grey[pixels == clear] = 255
    return Image.fromarray(grey)


def warn_if_narrow(name: Any, low: float, high: float, value_range: tuple[float, float]) -> None:
    """Warn where a picture's values use less than a tenth of the range that they are measured by."""
    least, most = value_range
    used = max(0.0, min(high, most) - max(low, least))
    if low < high and used < 0.1 * (most - least):  # one that is blank is another matter
        warnings.warn(
            f"{name}: its values, {low:g} to {high:g}, use less than a tenth of the range from {least:g} to {most:g}; where"
            " they have fewer bits, say so: --range 0:4095 for 12, or auto, percentile (value_range in Python)",
            DataWarning,
            stacklevel=2,
        )
