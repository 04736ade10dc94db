"""A folder of pictures, one folder for each class.

    root/train/cat/1.png     root/val/cat/5.png (or valid, validation)     root/test/cat/7.png
    root/cat/1.png           and a part of each class is held out

A file is a picture by its extension or, where it has none, by its first bytes. Names that begin with a dot are passed over in
silence; what else is no picture is counted. Classes are in natural order: class2 before class10.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..errors import DataError, InputError, refusing, shown
from .bands import NPY_MAGIC, TIFF_MAGICS
from .draw import drawn_order
from .image_file import MAX_BYTES, naming
from .picture import ValueRange, joined, planes, read_picture
from .regular import is_regular, open_regular

EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".avif", ".gif", ".bmp", ".jp2", ".npy", ".npz"),
    *(".apng", ".jpe", ".jfif", ".mpo", ".avifs", ".dib", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".pfm", ".pcx", ".sgi", ".rgb", ".rgba", ".bw", ".qoi", ".tga"),
)
ENDINGS_IN_WORDS = ", ".join(EXTENSIONS[:12]) + " or another that Pillow reads"

# First bytes of the formats that have some; a file without an extension is looked at.
_MAGICS = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"qoif", NPY_MAGIC, *TIFF_MAGICS),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
)

VALIDATION_NAMES = ("val", "valid", "validation")
TEST_NAMES = ("test", *VALIDATION_NAMES)

Size = int | tuple[int, int]


def sides_of(size: Any) -> tuple[int, int]:
    """(H, W) of a side, or of two. Raises InputError for what is neither."""
    try:
        return (int(size[0]), int(size[1])) if isinstance(size, tuple | list) else (int(size), int(size))
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise InputError(f"image size is {shown(size)}, expected a side in pixels, or (height, width)") from error


@dataclass(frozen=True)
class ImageFiles:
    """Pictures that stay on the disk and are read when they are asked for.

    Indexed as an array (n, H, W, channels), by an integer, a slice or an array of integers: uint8, or with `deep` float32
    fractions of full brightness.

    image_size     side, or (H, W)
    value_range    see picture.py
    max_bytes      what one picture may take once it is decoded
    """

    paths: tuple[Path, ...] = field(repr=False)
    image_size: Size
    channels: int
    value_range: ValueRange = None
    deep: bool = False
    max_bytes: int = MAX_BYTES

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32 if self.deep else np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.paths), *sides_of(self.image_size), self.channels)

    @property
    def nbytes(self) -> int:
        """What the pictures take once they are read."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.paths)

    def chosen(self, positions: np.ndarray) -> ImageFiles:
        """Some of them, still on the disk."""
        return replace(self, paths=tuple(self.paths[position] for position in positions))

    def read(self, position: int) -> np.ndarray:
        """One of them. Raises DataError that names the file."""
        pixels = read_image(self.paths[position], self.image_size, self.channels, self.value_range, self.max_bytes)
        if self.deep == (pixels.dtype == np.float32):
            return pixels
        return pixels / np.float32(255.0) if self.deep else np.rint(pixels * 255.0).astype(np.uint8)

    def whole(self, position: int, sides: tuple[int, int]) -> np.ndarray:
        """One of them uncut, for parts of it to be resized to (H, W) = sides: a JPEG may be decoded at a fraction of its size,
        four times these sides at least. Raises DataError that names the file."""
        pixels = read_whole(self.paths[position], self.channels, self.value_range, self.max_bytes, least=PARTS_OF * max(sides))
        if self.deep == (pixels.dtype == np.float32):
            return pixels
        return pixels / np.float32(255.0) if self.deep else np.rint(pixels * 255.0).astype(np.uint8)

    def __getitem__(self, key: Any) -> np.ndarray:
        chosen = np.arange(len(self.paths))[key]
        try:
            if chosen.ndim == 0:
                return self.read(chosen)
            images = np.empty((len(chosen), *self.shape[1:]), self.dtype)
            for place, index in enumerate(chosen):
                images[place] = self.read(index)
        except DataError as error:
            raise damaged_error(self.broken() or {0: error}, self.paths) from error
        return images

    def broken(self) -> dict[int, DataError]:
        """Which of them cannot be read, and why. Where the first fifty are, the rest is not looked at."""
        found: dict[int, DataError] = {}
        for position in range(len(self.paths)):
            try:
                self.read(position)
            except DataError as error:
                found[position] = error
                if len(found) == position + 1 == ALL_ALIKE:
                    break
        return found


ALL_ALIKE = 50  # pictures one after the other that cannot be read: then it is not for a damage of each
_NAMED = 200


def damaged_error(broken: dict[int, DataError], paths: tuple[Path, ...]) -> DataError:
    """One error that names all pictures of a data set that cannot be read."""
    errors = list(broken.values())
    if len(errors) == 1 and len(paths) > 1:
        return DataError(f"{errors[0]}; or give --skip-damaged (skip_damaged in Python) to go on without it")
    if len(errors) == min(len(paths), ALL_ALIKE):
        which = "first " if len(errors) < len(paths) else ""
        return DataError(f"{errors[0]}. So it is with all of the {which}{len(errors)} pictures")
    more = f"\n  and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
    listed = "\n  ".join(map(str, errors[:_NAMED]))
    return DataError(
        f"{len(errors)} of {len(paths)} pictures cannot be read; repair or remove them, or give --skip-damaged (skip_damaged in"
        f" Python) to go on without them:\n  {listed}{more}"
    )


@refusing
def read_image(
    path: Path, image_size: Size, channels: int, value_range: ValueRange = None, max_bytes: int = MAX_BYTES
) -> np.ndarray:
    """A picture (H, W, channels), uint8 or float32 fractions: resized so that it just covers the size, and the centre cut out.

    image_size    side, or (H, W)
    channels      3: RGB; 1: grey; other numbers: bands, as they are stored. Of grey and colour, transparent places become
                  white; a camera's rotation tag is obeyed.
    value_range   see picture.py
    Raises DataError that names the file, if it is no picture, is damaged, or has another number of bands.
    """
    height, width = sides_of(image_size)

    def fitted(image: Image.Image) -> np.ndarray:
        return np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC))

    with naming(path):
        stored = read_picture(path, channels, value_range, least=2 * max(height, width), max_bytes=max_bytes)
        if isinstance(stored, Image.Image):
            return fitted(stored.convert("RGB" if channels == 3 else "L")).reshape(height, width, channels)
        return joined([fitted(plane) for plane in planes(stored, value_range, path)])


PARTS_OF = 4  # the least side of a picture that parts of it are resized from, over the side that they are resized to


def read_whole(
    path: Path, channels: int, value_range: ValueRange = None, max_bytes: int = MAX_BYTES, least: int | None = None
) -> np.ndarray:
    """A picture (H, W, channels) as `read_image` gives it, at its own size, or of a JPEG at a fraction that leaves `least`."""
    with naming(path):
        stored = read_picture(path, channels, value_range, least=least, max_bytes=max_bytes)
        if isinstance(stored, Image.Image):
            pixels = np.asarray(stored.convert("RGB" if channels == 3 else "L"))
            return pixels.reshape(*pixels.shape[:2], channels)
        return joined([np.asarray(plane) for plane in planes(stored, value_range, path)])


@dataclass(frozen=True)
class Found:
    """The pictures of one part: paths (n,) and labels int64 (n,)."""

    paths: tuple[Path, ...]
    labels: np.ndarray


Pictures = dict[str, list[Path]]


def find_parts(
    root: Path, held_out: float, seed: int, passed_over: Counter[str] | None = None
) -> tuple[tuple[str, ...], dict[str, Found]]:
    """The classes, and the pictures of "train", "val" and "test" below `root`, as far as they are there.

    held_out       share of each class that becomes "test" where there is no folder for it; 0: none
    passed_over    counts what is no picture, by extension

    Raises DataError for what is no such folder.
    """
    passed_over = Counter() if passed_over is None else passed_over
    if not _has_classes(root / "train"):
        lone = next((name for name in TEST_NAMES if _has_classes(root / name)), None)
        if lone:
            raise DataError(f"{root}: has {lone}/ with classes but no train/ with classes; add it, or pass a folder of classes")
        return labelled_parts(root, {"train": pictures_by_class(root, passed_over=passed_over)}, held_out, seed)
    parts = {"train": pictures_by_class(root / "train", passed_over=passed_over)}
    for part, names in (("val", VALIDATION_NAMES), ("test", ("test",))):
        folders = [root / name for name in names if _has_classes(root / name)]
        if len(folders) > 1:
            raise DataError(
                f"{root}: has {' and '.join(folder.name for folder in folders)}; expected one of them, remove the other"
            )
        if folders:
            found = pictures_by_class(folders[0], empty=True, passed_over=passed_over)
            unknown = [name for name in found if name not in parts["train"]]
            if unknown:
                expected = ", ".join(parts["train"])
                raise DataError(f"{folders[0]}: classes that train/ does not have: {', '.join(unknown)}; expected {expected}")
            if not any(found.values()):
                raise DataError(
                    f"{folders[0]}: no pictures; expected CLASS/*.png, or remove the folder to have a part held out"
                )
            parts[part] = found
    return labelled_parts(root, parts, held_out, seed)


def labelled_parts(
    root: Path, parts: dict[str, Pictures], held_out: float, seed: int
) -> tuple[tuple[str, ...], dict[str, Found]]:
    """Classes in the order of the training part's, and all parts with labels; one is held out where there is only one."""
    train = parts["train"]
    if len(train) < 2:
        raise DataError(f"{root}: only one class, {next(iter(train))!r}; expected a folder for each of at least two classes")
    if len(parts) == 1 and held_out > 0:
        parts = dict(zip(("train", "test"), _split(train, held_out, seed), strict=True))
    classes = tuple(train)
    return classes, {part: _listed(found, classes) for part, found in parts.items()}


INNER, LOOSE = "folder inside class folders", "picture beside class folders"  # what else is passed over


def natural_key(name: str) -> tuple[list[int | str], str]:
    """Sorts as people do: class2 before class10, and small letters beside capitals."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part.casefold() for place, part in enumerate(parts)], name


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def is_picture(entry: Path, passed_over: Counter[str] | None = None) -> bool:
    """Whether a file in a folder is a picture. What is none is counted, by its extension."""
    if entry.name.startswith("."):
        return False
    if not is_regular(entry):
        if passed_over is not None and not entry.is_dir():
            passed_over["a broken link" if entry.is_symlink() and not entry.exists() else "a pipe or a device"] += 1
        return False
    ending = entry.suffix.lower()
    if ending in EXTENSIONS or (not ending and _has_magic(entry)):
        return True
    if passed_over is not None:
        passed_over[ending or "no ending"] += 1
    return False


def in_words(passed_over: Counter[str]) -> str:
    """`4 files that are no pictures (.txt 3, .mov 1), 1 folder inside class folders`, or nothing where there are none."""
    files = Counter({ending: number for ending, number in passed_over.items() if ending not in (INNER, LOOSE)})
    count = files.total()
    listed = ", ".join(f"{ending} {number}" for ending, number in files.most_common(5))
    more = ", …" if len(files) > 5 else ""
    what = f"file{'s' * (count > 1)} that {'are no pictures' if count > 1 else 'is no picture'} ({listed}{more})"
    counts = {what: count}
    for other in (INNER, LOOSE):
        counts[other if passed_over[other] == 1 else other.replace(" ", "s ", 1)] = passed_over[other]
    return ", ".join(f"{number} {words}" for words, number in counts.items() if number)


def _has_magic(entry: Path) -> bool:
    try:
        with open_regular(entry) as file:
            head = file.read(16)
    except OSError:
        return False
    boxed = (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or head[4:12] in (b"ftypavif", b"ftypavis")
    return boxed or head.startswith(_MAGICS)


def _pictures(folder: Path, passed_over: Counter[str] | None = None) -> list[Path]:
    return sorted((e for e in folder.iterdir() if is_picture(e, passed_over)), key=lambda entry: natural_key(entry.name))


def _has_classes(folder: Path) -> bool:
    """Whether this is a part (train, test) and not itself a class that happens to be called so."""
    return folder.is_dir() and bool(_folders(folder)) and not _pictures(folder)


def has_pictures_by_class(folder: Path) -> bool:
    """Whether a folder that there may be has one with pictures right in it."""
    return folder.is_dir() and any(map(_pictures, _folders(folder)))


def pictures_by_class(folder: Path, empty: bool = False, passed_over: Counter[str] | None = None) -> dict[str, list[Path]]:
    """{class name: its pictures}, in natural order. What is no picture is counted in `passed_over`."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(_folders(folder), key=lambda entry: natural_key(_readable(entry.name))):
        name, pictures = _readable(entry.name), _pictures(entry, passed_over)
        if passed_over is not None and (inner := len(_folders(entry))):
            passed_over[INNER] += inner
        if name in found:
            raise DataError(f"{folder}: two class folders have names that read the same, {name!r}; rename or merge them")
        if not pictures and not empty:
            raise DataError(f"{entry}: no pictures in this class folder; expected files such as 1.png or 1.jpg, or remove it")
        found[name] = pictures
    loose = len(_pictures(folder))
    if passed_over is not None and found and loose:
        passed_over[LOOSE] += loose
    if not found:
        what = f"{loose} pictures but no class folders" if loose else "no class folders"
        raise DataError(f"{folder}: {what}; expected a folder for each class with its pictures inside, such as cat/1.png")
    return found


def _readable(name: str) -> str:
    """A file's name as text that can be printed everywhere: composed, and with bytes that are no UTF-8 replaced."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _split(found: Pictures, held_out: float, seed: int) -> tuple[Pictures, Pictures]:
    """Holds out a share of every class, at least one picture, drawn by name."""
    train, test = {}, {}
    for name, paths in found.items():
        if len(paths) < 2:
            raise DataError(
                f"{paths[0].parent}: one picture only; expected two, one to train and one to test, or a test/ folder"
            )
        order = drawn_order([f"{name}/{path.name}" for path in paths], seed)
        count = min(max(1, round(held_out * len(paths))), len(paths) - 1)
        test[name] = [paths[index] for index in sorted(order[:count])]
        train[name] = [paths[index] for index in sorted(order[count:])]
    return train, test


def _listed(found: Pictures, classes: tuple[str, ...]) -> Found:
    labelled = [(path, classes.index(name)) for name, paths in found.items() for path in paths]
    return Found(tuple(path for path, _ in labelled), np.array([label for _, label in labelled], np.int64))
