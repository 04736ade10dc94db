"""Where data sets come from: two names, a folder of IDX files, a folder of pictures.

    train_set, test_set = load_dataset()                          # the part of Fashion-MNIST that ships with mvnp
    train_set, test_set = load_dataset("fashion-mnist")           # all of it, from Debian's dataset-fashion-mnist
    train_set, test_set = load_dataset("folder/of/idx/files")     # MNIST, KMNIST and others under their usual file names
    train_set, test_set = load_dataset("folder/of/pictures")      # a folder for each class

Both parts are a `Dataset`.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, InputError, check_path, is_number, nearest, shown
from ..models.variants import IMAGENET_MEAN, IMAGENET_STD
from . import fashion_mnist
from .dataset import Dataset, chosen_classes, statistics
from .folder import Found, ImageFiles, find_images
from .idx import read_idx

NAMES = ("fashion-mnist-small", "fashion-mnist")
KEPT_BYTES = 2**29  # pictures are decoded once and kept up to this size; beyond it they are decoded for each batch

# train-images-idx3-ubyte, train-images.idx3-ubyte and the like, gzipped or not
_IDX_NAME = re.compile(r"(train|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")


def load_dataset(
    spec: str | os.PathLike[str] = NAMES[0],
    *,
    image_size: int = 224,
    channels: int = 3,
    held_out: float = 0.2,
    seed: int = 0,
    classes: Sequence[str | int] | None = None,
) -> tuple[Dataset, Dataset]:
    """The training and the test part of a data set.

    spec          a name: "fashion-mnist-small", "fashion-mnist"; or a folder of IDX files; or a folder of pictures.
                  A folder that has one of the names is meant by "./fashion-mnist".
    classes       only these, in this order, by name or by their number from 0; None: all. Means and deviations remain those
                  of all.

    For a folder of pictures only:
    image_size    side to which each picture is brought: its short side resized, the centre cut out
    channels      3: colour; 1: grey
    held_out      share of each class kept for testing, where there is no test, val, valid or validation folder
    seed          of that choice

    Raises DataError that says what is missing or damaged, and where; InputError for an option that cannot be.
    """
    check_path("load_dataset", spec, f"a folder, or one of {', '.join(NAMES)}")
    if classes is not None and not isinstance(classes, Sequence):
        raise InputError(f"load_dataset: classes is {shown(classes)}, expected names or numbers of classes, in a list")
    if (
        not isinstance(image_size, int)
        or image_size < 1
        or type(channels) is not int
        or channels not in (1, 3)
        or not is_number(held_out)
        or not 0.0 < held_out < 1.0
    ):
        raise InputError(
            f"load_dataset: image_size={image_size}, channels={channels}, held_out={held_out}; expected image_size of at least"
            " 1, channels of 1 or 3, held_out between 0 and 1"
        )
    train, test = _load(os.fspath(spec), image_size, channels, held_out, seed)
    if classes is None:
        return train, test
    numbers = _class_numbers(train, classes)
    return chosen_classes(train, numbers), chosen_classes(test, numbers)


def _class_numbers(dataset: Dataset, classes: Sequence[str | int]) -> list[int]:
    """The positions in `dataset.classes` of classes that are given by name, or by position."""
    known = {name: number for number, name in enumerate(dataset.classes)}
    by_number = {str(number): number for number in range(len(known))}
    numbers = []
    for each in [classes] if isinstance(classes, str) else classes:
        number = known.get(str(each), by_number.get(str(each)))
        if number is None:
            listed = ", ".join(f"{number} {name}" for name, number in known.items())
            raise InputError(f"{dataset.name} has no class {each!r}{nearest(each, known)}; choose from {listed}")
        numbers.append(number)
    if len(numbers) < 2 or len(set(numbers)) < len(numbers):
        raise InputError(f"{dataset.name}: classes are {', '.join(map(str, classes))}; expected at least two, each once")
    return numbers


def _load(name: str, image_size: int, channels: int, held_out: float, seed: int) -> tuple[Dataset, Dataset]:
    if name == "fashion-mnist-small":
        return _load_idx(name, fashion_mnist.SUBSET, known=True)
    if name == "fashion-mnist":
        if not fashion_mnist.FULL.is_dir():
            raise DataError(_no_full_set(fashion_mnist.FULL))
        return _load_idx(name, fashion_mnist.FULL, known=True)
    folder = Path(os.path.expanduser(name))
    if name == "" or not folder.exists():
        raise DataError(
            f"no data set and no folder {name!r}{nearest(name, NAMES)}; give {', '.join(NAMES)}, a folder of IDX files, or a"
            " folder that has a folder of pictures for each class"
        )
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; give the folder that it is in")
    if any(_IDX_NAME.fullmatch(entry.name) for entry in folder.iterdir()):
        return _load_idx(folder.name or str(folder), folder, known=False)
    return _load_pictures(folder, image_size, channels, held_out, seed)


def _load_idx(name: str, folder: Path, known: bool) -> tuple[Dataset, Dataset]:
    """The four files of a folder. `known`: they are of Fashion-MNIST; otherwise their labels tell."""
    images, labels = {}, {}
    for part in ("train", "t10k"):
        image_file, label_file = _idx_file(folder, part, "images"), _idx_file(folder, part, "labels")
        images[part] = read_idx(image_file, dtype="uint8", ndim=3)[..., None]
        labels[part] = read_idx(label_file, dtype="uint8", ndim=1).astype(np.int64)
        if len(images[part]) != len(labels[part]):
            raise DataError(
                f"{image_file} holds {len(images[part])} images but {label_file.name} {len(labels[part])} labels;"
                " expected as many of each: are they of the same data set?"
            )
        if images[part].size == 0:
            raise DataError(f"{image_file}: holds images of shape {images[part].shape[:3]}, expected at least one with pixels")
    if known or zlib.crc32(labels["train"].astype(np.uint8).tobytes()) == fashion_mnist.LABELS_CRC:
        classes, mean, std = fashion_mnist.CLASSES, fashion_mnist.MEAN, fashion_mnist.STD
    else:
        classes = tuple(str(label) for label in range(int(labels["train"].max()) + 1))
        mean, std = statistics(images["train"])
    if len(np.unique(labels["train"])) < 2:
        raise DataError(f"{folder}: all training labels are {labels['train'][0]}; expected at least two classes")
    if images["train"].shape[1:] != images["t10k"].shape[1:]:
        sizes = " and ".join("x".join(map(str, images[part].shape[1:3])) for part in ("train", "t10k"))
        raise DataError(f"{folder}: training and test images are of different sizes, {sizes}; are they of the same data set?")
    return (
        Dataset(name, "train", images["train"], labels["train"], classes, mean, std),
        Dataset(name, "test", images["t10k"], labels["t10k"], classes, mean, std),
    )


def _idx_file(folder: Path, part: str, what: str) -> Path:
    usual = f"{part}-{what}-idx{3 if what == 'images' else 1}-ubyte"
    for stem in (usual, usual.replace("-idx", ".idx")):
        for file in (folder / f"{stem}.gz", folder / stem):
            if file.is_file():
                return file
    raise DataError(f"{folder}: has no {usual}.gz (or without .gz); expected images and labels of train and t10k, four files")


def _load_pictures(folder: Path, image_size: int, channels: int, held_out: float, seed: int) -> tuple[Dataset, Dataset]:
    classes, train, test = find_images(folder, held_out, seed)

    def files(found: Found) -> ImageFiles:
        return ImageFiles(found.paths, image_size, channels)

    keep = files(train).nbytes + files(test).nbytes <= KEPT_BYTES
    train_images, test_images = (files(found)[:] if keep else files(found) for found in (train, test))
    if channels == 3:
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    else:  # of at most a thousand, evenly chosen, so that a large folder need not be read twice
        mean, std = statistics(train_images[:: -(-len(train_images) // 1000)])  # type: ignore[assignment]
    name = folder.resolve().name or str(folder)

    def dataset(part: str, images: Any, found: Found) -> Dataset:
        return Dataset(name, part, images, found.labels, classes, mean, std)

    return dataset("train", train_images, train), dataset("test", test_images, test)


def _no_full_set(place: Path) -> str:
    return (
        f"the full Fashion-MNIST is not installed: there is no folder {place}. On Debian or Ubuntu, `apt install"
        " dataset-fashion-mnist`; elsewhere, give the folder of its four files (train-images-idx3-ubyte.gz and so on) in"
        " place of the name. fashion-mnist-small ships with mvnp and needs no installation"
    )
