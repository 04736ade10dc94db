"""From a picture to what a model takes: the evaluation transform of the released variants, as timm publishes it.

    resized    so that it just covers S = ⌊size / crop_pct⌋ pixels in both directions, bicubic (or bilinear)          (1)
               crop_mode "squash": to S x S exactly, without keeping its proportions
    cut        the middle, size x size
    scaled     (value − mean) / std, for each channel; the value is pixel/255, or what a range makes of it (picture.py)   (2)

A size (H, W) has an S for each side. To cover a square, the short side becomes S and the long one ⌊S·long/short⌋; to cover a
rectangle, both sides are divided by min(h/S_H, w/S_W) and rounded. The cut begins at half of what is left over, a half of a
pixel rounded to even. Bicubic is Keys' kernel with a = −½, widened by the ratio when shrinking, in one direction and then in
the other, rounded to 8 bits each time: Pillow's BICUBIC. (Which direction comes first depends on the version of Pillow.)

    transform = ImageTransform.of_variant("mamba_vision_T")
    x = transform(open_image("cat.jpg"))[None]      # (1, 3, 224, 224), float32

The definition: timm 1.0, `timm.data.create_transform(is_training=False)`, which takes (1) and the cut from torchvision's Resize
and CenterCrop. For rectangles timm falls back to bilinear, whatever was asked for; here they are bicubic too.
Keys: Cubic Convolution Interpolation for Digital Image Processing (1981).
"""

from __future__ import annotations

import glob
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import MOST_SIDE, DataError, InputError, check_choice, check_path, is_number, refusing, shown
from ..models.variants import IMAGENET_MEAN, IMAGENET_STD
from .folder import ENDINGS_IN_WORDS, is_picture, natural_key
from .image_file import MAX_BYTES, NeedsRangeError, as_8_bit, naming, open_image
from .loader import BatchLoader
from .picture import ValueRange, checked_range, fitted_bands, joined, planes, read_picture
from .regular import is_regular

__all__ = ["CROP_MODES", "INTERPOLATIONS", "ImageTransform", "image_files", "open_image"]

CROP_MODES = ("center", "squash")
INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

# Resizing a strip of a thousand to one would make an image a thousand times as large as what is cut out of it. Beyond this
# many pixels only the cut is worked out, with Pillow's float32 for its place, and rounded in between in another order perhaps.
MOST_PIXELS = 2**26
MOST_SEEN = 2**28  # pixels of what a model sees


@dataclass(frozen=True)
class ImageTransform:
    """Makes float32 (channels, H, W) of a picture, the same for every picture that a model is asked about.

    size         what the model sees: a side, or (H, W)
    crop_pct     how much of the resized picture's side is cut out, in (0, 1]
    crop_mode    "center": the proportions are kept; "squash": they are not
    mean, std    of each channel, as fractions of full brightness; the defaults are ImageNet's
    channels     3: colour; 1: grey; any other number: bands, as they are stored (`mean` and `std` have a number for each)
    interpolation    "bicubic"; "bilinear" is what `mvnp train` resizes with
    value_range  which stored values are black and white, (0, 4095) say; "auto" or "percentile": each picture's own; None: those
                 of the dtype (picture.py)

    Raises InputError for an argument that cannot be.
    """

    size: int | tuple[int, int] = 224
    crop_pct: float = 1.0
    crop_mode: str = "center"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    channels: int = 3
    interpolation: str = "bicubic"
    value_range: ValueRange = None

    def __post_init__(self) -> None:
        if isinstance(self.size, list | tuple):  # JSON has no tuples
            object.__setattr__(self, "size", tuple(self.size))
        sides = self.size if isinstance(self.size, tuple) else (self.size,)
        if len(sides) not in ((2,) if isinstance(self.size, tuple) else (1,)) or not all(map(_is_side, sides)):
            raise InputError(
                f"ImageTransform: size is {shown(self.size)}, expected an integer from 1 to {MOST_SIDE}, or two (H, W)"
            )
        if math.prod(self._sides) > MOST_SEEN:
            raise InputError(f"ImageTransform: size is {self.size}, expected at most {MOST_SEEN} pixels in all")
        if not _is_number(self.crop_pct) or not 0.0 < self.crop_pct <= 1.0:
            raise InputError(f"ImageTransform: crop_pct is {shown(self.crop_pct)}, expected a number in (0, 1]")
        check_choice("crop_mode", self.crop_mode, CROP_MODES)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        if not _is_side(self.channels):
            raise InputError(
                f"ImageTransform: channels is {shown(self.channels)}, expected 3 (colour), 1 (grey), or a number of bands"
            )
        object.__setattr__(self, "value_range", checked_range("ImageTransform", self.value_range))
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or len(values) != self.channels or not all(map(_is_number, values)):
                raise InputError(
                    f"ImageTransform: {name} is {shown(values)}, expected {self.channels} numbers, one for each channel"
                )
            object.__setattr__(self, name, tuple(float(value) for value in values))
        if min(self.std) <= 0:
            raise InputError(f"ImageTransform: std is {self.std}, expected numbers above 0")

    @classmethod
    def of_variant(cls, name: str) -> ImageTransform:
        """That of a released variant. Raises InputError for an unknown name."""
        from ..models.variants import VARIANTS

        check_choice("model", name, VARIANTS)
        variant = VARIANTS[name]
        return cls(variant.input_size, variant.crop_pct, variant.crop_mode)

    @classmethod
    def of_loader(cls, loader: BatchLoader) -> ImageTransform:
        """What does to a picture file what `loader` does to the pictures of its data set, without augmentation.

        Stored pictures are resized bilinearly, square or not; those of a folder come at their size by then, cut from the
        middle and resized bicubically (mvnp/data/folder.py). But for rounding to 8 bits the values are the same.
        """
        height, width = loader.dataset.images.shape[1:3]
        return cls(
            size=loader.image_size,
            crop_mode="center" if height * loader.sides[1] == width * loader.sides[0] else "squash",
            mean=tuple(loader.mean),
            std=tuple(loader.std),
            channels=loader.dataset.channels,
            interpolation="bicubic" if (height, width) == loader.sides else "bilinear",
            value_range=loader.dataset.value_range,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what is given for one picture: (channels, H, W)."""
        return (self.channels, *self._sides)

    def __call__(self, image: str | os.PathLike[str] | Image.Image | np.ndarray) -> np.ndarray:
        """float32 (channels, H, W) of a file, a Pillow image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).

        Arrays are of uint8, of uint16 (grey only), or floating with values from 0 to 1. A fourth channel is opacity. With a
        range, or another number of channels, an array is (H, W, channels) of any numbers, and has all its bands.
        Raises InputError for anything else, DataError for a file that is no picture.
        """
        return self.read(image) if isinstance(image, str | os.PathLike) else self.normalised(self.cut(image))

    def read(self, path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> np.ndarray:
        """float32 (channels, H, W) of a picture file. Raises DataError that names it; see `read_picture`."""
        with naming(path):
            pixels = read_picture(path, self.channels, self.value_range, max_bytes=max_bytes)
            cut = self.cut(pixels) if isinstance(pixels, Image.Image) else self._cut_bands(pixels, path)
        return self.normalised(cut)

    def cut(self, image: Image.Image | np.ndarray) -> np.ndarray:
        """The picture resized and cut, before (2): uint8 (H, W, channels), or float32 fractions of full brightness."""
        if self.channels in (1, 3) and self.value_range is None:
            opaque = _as_image(image).convert("RGB" if self.channels == 3 else "L")
            return np.asarray(self._cut_plane(opaque)).reshape(*self._sides, self.channels)
        try:
            return self._cut_bands(_as_bands(image), "the image")
        except InputError:
            raise
        except NeedsRangeError as error:
            raise InputError(f"ImageTransform: {error}; say which are black and white, with value_range=(…, …)") from error
        except ValueError as error:
            raise InputError(f"ImageTransform: {error}") from error

    def _cut_bands(self, stored: np.ndarray, name: Any) -> np.ndarray:
        fitted = fitted_bands(stored, self.channels)
        return joined([np.asarray(self._cut_plane(plane)) for plane in planes(fitted, self.value_range, name)])

    def _cut_plane(self, opaque: Image.Image) -> Image.Image:
        """A Pillow image of any mode, resized and cut."""
        height, width = self._sides
        w, h = self._resized(*opaque.size)
        left, top = round((w - width) / 2), round((h - height) / 2)
        box = (left, top, left + width, top + height)
        kernel = INTERPOLATIONS[self.interpolation]
        if w * h <= MOST_PIXELS:
            return opaque.resize((w, h), kernel).crop(box)
        across, down = opaque.width / w, opaque.height / h
        source = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        return opaque.resize((width, height), kernel, box=source)

    def normalised(self, pixels: np.ndarray) -> np.ndarray:
        """(2) of uint8 (..., H, W, channels), or of float32 fractions, as float32 (..., channels, H, W)."""
        x = np.moveaxis(pixels, -1, -3).astype(np.float32, order="C")
        if pixels.dtype == np.uint8:
            x /= np.float32(255.0)
        x -= np.array(self.mean, np.float32)[:, None, None]
        x /= np.array(self.std, np.float32)[:, None, None]
        return x

    @property
    def _sides(self) -> tuple[int, int]:
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)

    def _resized(self, w: int, h: int) -> tuple[int, int]:
        """(1): the size (w, h) that a picture of w x h pixels is resized to."""
        S_H, S_W = (math.floor(side / self.crop_pct) for side in self._sides)
        if self.crop_mode == "squash":
            return S_W, S_H
        if S_H == S_W:
            return (S_W, int(S_W * h / w)) if w <= h else (int(S_H * w / h), S_H)
        ratio = min(h / S_H, w / S_W)
        return round(w / ratio), round(h / ratio)


@refusing
def image_files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], passed_over: Counter[str] | None = None
) -> list[Path]:
    """The pictures that are meant: a file is itself; a folder is all pictures in it and in the folders below.

    Within a folder pictures come in natural order (2.jpg before 10.jpg), its own before those further down. A file is a picture
    by its extension or, where it has none, by its first bytes; names that begin with a dot are passed over. A file that is
    named itself is taken whatever its name. Where there is no such file, `*` and `?` in a name stand for others, for shells
    that leave that to programs.

    passed_over    counts the files in folders that are no pictures, by extension

    Raises DataError for a name that is nothing, for a pipe or a device, and for a folder without pictures.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) or not isinstance(paths, Iterable) else list(paths)
    for each in given:
        check_path("image_files", each, "the name of a picture or a folder")
    found: list[Path] = []
    for path in (Path(path).expanduser() for path in given):
        if path.is_dir():
            within = list(_pictures_below(path, set(), Counter() if passed_over is None else passed_over))
            if not within:
                raise DataError(f"{path}: no pictures in this folder; expected files that end in {ENDINGS_IN_WORDS}")
            found += within
        elif path.exists():
            if not is_regular(path):
                raise DataError(f"{path}: is a pipe or a device, and no file; expected a picture, or a folder of pictures")
            found.append(path)
        elif matching := sorted(glob.glob(str(path)), key=natural_key):
            found += map(Path, matching)
        else:
            raise DataError(f"{path}: there is no such file or folder; expected a picture, or a folder of pictures")
    if not found:
        raise DataError("no pictures were given; expected files or folders")
    return found


def _pictures_below(folder: Path, above: set[str], passed_over: Counter[str]) -> Iterator[Path]:
    """`above` has the folders that lead here, by their true names: a link back to one of them is not followed."""
    true_name = os.path.realpath(folder)
    if true_name in above:
        return
    seen = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    entries = sorted(seen, key=lambda entry: natural_key(entry.name))
    yield from (entry for entry in entries if is_picture(entry, passed_over))
    for entry in entries:
        if entry.is_dir():
            yield from _pictures_below(entry, above | {true_name}, passed_over)


def _as_bands(image: Any) -> np.ndarray:
    """(H, W, C) of an image of any kind, all its bands."""
    pixels = np.asarray(as_8_bit(image) if isinstance(image, Image.Image) and image.mode in ("1", "P") else image)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or 0 in pixels.shape or pixels.dtype.kind not in "buif":
        raise InputError(
            f"ImageTransform: the image is {pixels.dtype} of shape {pixels.shape}, expected numbers (H, W) or (H, W, bands)"
        )
    return pixels


def _as_image(image: Any) -> Image.Image:
    if isinstance(image, Image.Image):
        try:
            return as_8_bit(image)
        except ValueError as error:
            raise InputError(f"ImageTransform: this image cannot be used: {error}") from error
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"ImageTransform: the image is a {type(image).__name__}, expected a Pillow image or a NumPy array; open_image(path)"
            " opens a file"
        )
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,), (4,)) or 0 in image.shape:
        raise InputError(
            f"ImageTransform: the image has shape {image.shape}, expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
        )
    flat = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if flat.dtype.kind == "f":
        low, high = float(flat.min()), float(flat.max())
        if not (low >= 0.0 and high <= 1.0):  # false for NaN as well
            raise InputError(
                f"ImageTransform: the image is floating with values from {low:g} to {high:g}, expected 0 to 1; say which are"
                " black and white, with value_range=(…, …)"
            )
        flat = np.rint(flat * 255.0).astype(np.uint8)
    elif flat.dtype != np.uint8 and not (flat.dtype == np.uint16 and flat.ndim == 2):
        raise InputError(
            f"ImageTransform: the image has dtype {flat.dtype}, expected uint8, uint16 (grey only), or floating from 0 to 1"
        )
    return as_8_bit(Image.fromarray(np.ascontiguousarray(flat)))


def _is_side(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(1 <= value <= MOST_SIDE)


def _is_number(value: Any) -> bool:
    return is_number(value)
