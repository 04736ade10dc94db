"""One picture from a file, whatever it is stored as, as 8-bit grey or RGB.

    stored                          given
    grey, 1 or 8 bits               L
    grey, 16 bits                   L, v/257 rounded: 65535 becomes 255
    colours, palette                RGB
    CMYK, YCbCr                     RGB, by Pillow's own formulas (a colour profile is not applied)
    with transparency               as it looks on white
    several pictures (GIF, TIFF)    the first

A camera notes how it was held in the EXIF orientation tag; the picture is turned accordingly. timm and torchvision leave the
tag alone, and drop transparency instead of looking through it: for files with neither, which nearly all photographs are once
they were edited, the pixels are the same.

A file is only a claim. Pillow refuses to unpack what declares more than twice `PIL.Image.MAX_IMAGE_PIXELS` (179 million pixels
unless a program changes it); below that it warns, and we do not: a photograph may be large.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import DataError


def open_image(path: str | os.PathLike[str], *, least: int | None = None) -> Image.Image:
    """The picture in a file: turned upright, opaque, of mode "L" or "RGB", 8 bits a channel.

    least    a JPEG may be decoded at a fraction of its size, as long as both sides keep at least this many pixels: faster,
             and not quite what resizing the whole of it gives. None: as it is.

    Raises DataError that names the file where it is missing, no picture, damaged, cut off or too large to unpack.
    """
    return _read(Path(path), lambda image: as_8_bit(_loaded(image, least)))


def as_8_bit(image: Image.Image) -> Image.Image:
    """A Pillow image of any mode as "L" or "RGB", over white where it is transparent. Raises ValueError for float pixels."""
    if 0 in image.size:
        raise ValueError(f"it is {image.width}x{image.height} pixels")
    if image.mode.startswith(("I", "F")):
        return _from_16_bit(image)
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
        return opaque.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _read(path: Path, take: Callable[[Image.Image], Image.Image]) -> Image.Image:
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise ValueError("the file is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, and of oddities that do not hinder the decoder
            with Image.open(path) as image:
                return take(image)
    except Exception as error:  # on damaged files Pillow's decoders raise whatever they happen to run into
        raise DataError(f"{path}: cannot be read as a picture ({_reason(error)}); replace or remove it") from error


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not a picture of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _loaded(image: Image.Image, least: int | None) -> Image.Image:
    if least is not None:
        image.draft(None, (least, least))
    image.load()  # here a damaged picture raises, and not where its tags are read, which may be damaged on their own
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the tags make no sense: the picture is taken as it is stored
        return image


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Pillow has four modes for grey pixels of more than 8 bits, and clips them at 255 where it converts them."""
    pixels = np.asarray(image)
    if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"its pixels are of Pillow's mode {image.mode}, expected 8 or 16 bits; save it as such")
    grey = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    clear = image.info.get("transparency")  # the one value that a PNG may declare transparent
    if isinstance(clear, int):
        grey[pixels == clear] = 255
    return Image.fromarray(grey)
