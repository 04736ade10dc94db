"""A folder of pictures, one folder for each class.

    root/train/cat/1.png     root/test/cat/7.png      (or val, valid, validation in place of test)
    root/cat/1.png                                    and a part of each class is held out for testing

Names that begin with a dot are passed over, and so are files that are no pictures by their extension. Classes are in
natural order: class2 before class10.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..errors import DataError
from .draw import drawn_order
from .image_file import open_image

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class ImageFiles:
    """Pictures that stay on the disk and are read when they are asked for.

    Indexed as an array uint8 (n, image_size, image_size, channels): by an integer, a slice or an array of integers.
    """

    paths: tuple[Path, ...] = field(repr=False)
    image_size: int
    channels: int

    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.paths), self.image_size, self.image_size, self.channels)

    @property
    def nbytes(self) -> int:
        """What the pictures take once they are read."""
        return int(np.prod(self.shape, dtype=object))

    def __len__(self) -> int:
        return len(self.paths)

    def chosen(self, positions: np.ndarray) -> ImageFiles:
        """Some of them, still on the disk."""
        return replace(self, paths=tuple(self.paths[position] for position in positions))

    def __getitem__(self, key: Any) -> np.ndarray:
        chosen = np.arange(len(self.paths))[key]
        if chosen.ndim == 0:
            return read_image(self.paths[chosen], self.image_size, self.channels)
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for place, index in enumerate(chosen):
            images[place] = read_image(self.paths[index], self.image_size, self.channels)
        return images


def read_image(path: Path, image_size: int, channels: int) -> np.ndarray:
    """A picture as uint8 (image_size, image_size, channels): its short side resized, and the centre cut out.

    channels    3: RGB; 1: grey. Transparent places become white; a camera's rotation tag is obeyed.
    Raises DataError that names the file, if it is no picture or is damaged.
    """
    image = open_image(path, least=2 * image_size).convert("RGB" if channels == 3 else "L")
    fitted = ImageOps.fit(image, (image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(fitted).reshape(image_size, image_size, channels)


@dataclass(frozen=True)
class Found:
    """The pictures of one part: paths (n,) and labels int64 (n,)."""

    paths: tuple[Path, ...]
    labels: np.ndarray


def find_images(root: Path, held_out: float, seed: int) -> tuple[tuple[str, ...], Found, Found]:
    """The classes, the training pictures and the test pictures below `root`. Raises DataError for what is no such folder."""
    if _has_classes(root / "train"):
        train = pictures_by_class(root / "train")
        test_folder = next((root / name for name in TEST_NAMES if _has_classes(root / name)), None)
        test = None if test_folder is None else pictures_by_class(test_folder, empty=True)
    else:
        lone = next((name for name in TEST_NAMES if _has_classes(root / name)), None)
        if lone:
            raise DataError(f"{root}: has {lone}/ with classes but no train/ with classes; add it, or pass a folder of classes")
        train, test, test_folder = pictures_by_class(root), None, None
    if len(train) < 2:
        raise DataError(f"{root}: only one class, {next(iter(train))!r}; expected a folder for each of at least two classes")
    if test is None:
        train, test = _split(train, held_out, seed)
    unknown = [name for name in test if name not in train]
    if unknown:
        raise DataError(f"{test_folder}: classes that train/ does not have: {', '.join(unknown)}; expected {', '.join(train)}")
    classes = tuple(train)
    if not any(test.values()):
        raise DataError(f"{test_folder}: no pictures; expected CLASS/*.png, or remove the folder to have a part held out")
    return classes, _listed(train, classes), _listed(test, classes)


def natural_key(name: str) -> tuple[list[int | str], str]:
    """Sorts as people do: class2 before class10, and small letters beside capitals."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part.casefold() for place, part in enumerate(parts)], name


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def _pictures(folder: Path) -> list[Path]:
    entries = (e for e in folder.iterdir() if e.suffix.lower() in EXTENSIONS and not e.name.startswith(".") and e.is_file())
    return sorted(entries, key=lambda entry: natural_key(entry.name))


def _has_classes(folder: Path) -> bool:
    """Whether this is a part (train, test) and not itself a class that happens to be called so."""
    return folder.is_dir() and bool(_folders(folder)) and not _pictures(folder)


def pictures_by_class(folder: Path, empty: bool = False) -> dict[str, list[Path]]:
    """{class name: its pictures}, in natural order."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(_folders(folder), key=lambda entry: natural_key(_readable(entry.name))):
        name, pictures = _readable(entry.name), _pictures(entry)
        if name in found:
            raise DataError(f"{folder}: two class folders have names that read the same, {name!r}; rename or merge them")
        if not pictures and not empty:
            raise DataError(f"{entry}: no pictures in this class folder; expected files such as 1.png or 1.jpg, or remove it")
        found[name] = pictures
    if not found:
        loose = len(_pictures(folder))
        what = f"{loose} pictures but no class folders" if loose else "no class folders"
        raise DataError(f"{folder}: {what}; expected a folder for each class with its pictures inside, such as cat/1.png")
    return found


def _readable(name: str) -> str:
    """A file's name as text that can be printed everywhere: composed, and with bytes that are no UTF-8 replaced."""
    return unicodedata.normalize("NFC", name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


Pictures = dict[str, list[Path]]


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
