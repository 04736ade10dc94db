"""A data set in one .npz file, as MedMNIST has it, and as Keras distributes MNIST.

    train_images (n, H, W) or (n, H, W, C), train_labels (n,) or (n, 1); val_images, val_labels; test_images, test_labels
    x_train, y_train; x_val, y_val; x_test, y_test                                          the same by other names

uint8, or floating from 0 to 1. Labels are whole numbers from 0. A part may be missing, but for the training part.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .bands import open_entry, read_entries, read_header
from .regular import open_regular

MOST_BYTES = 2**32  # of one array, unpacked

_PARTS = ("train", "val", "test")
_NAMES = {part: ((f"{part}_images", f"{part}_labels"), (f"x_{part}", f"y_{part}")) for part in _PARTS}


def read_npz_set(path: Path, max_bytes: int = MOST_BYTES) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{"train", "val", "test": (images (n, H, W, C), int64 labels (n,))}, as far as they are there.

    Raises DataError that names the file and the array.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            names = [info.filename.removesuffix(".npy") for info in infos]
            if len(set(names)) < len(names):
                raise ValueError("an array is there twice")
            found = dict(zip(names, infos, strict=True))
            return _parts(archive, found, max_bytes)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged archive makes its reader run into anything
        raise DataError(
            f"{path}: cannot be read as a data set ({' '.join(str(error).split()) or type(error).__name__})"
        ) from error


def _parts(
    archive: zipfile.ZipFile, found: dict[str, zipfile.ZipInfo], max_bytes: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    parts = {}
    for part in _PARTS:
        pair = next((pair for pair in _NAMES[part] if pair[0] in found), None)
        if pair is None:
            continue
        if pair[1] not in found:
            raise ValueError(f"it has {pair[0]}, and no {pair[1]}")
        images = _images(pair[0], _entry(archive, found[pair[0]], max_bytes))
        parts[part] = images, _labels(pair[1], _entry(archive, found[pair[1]], max_bytes), len(images))
    if "train" not in parts:
        expected = " or ".join(pair[0] for pair in _NAMES["train"])
        raise ValueError(f"it has the arrays {', '.join(list(found)[:8]) or 'none'}; expected {expected} and its labels")
    shapes = {part: images.shape[1:] for part, (images, _) in parts.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            f"its parts have pictures of different sizes: {', '.join(f'{part} {shape}' for part, shape in shapes.items())}"
        )
    return parts


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int) -> np.ndarray:
    with open_entry(archive, info) as stream:
        shape, fortran, dtype = read_header(stream, info.filename)
        needed = math.prod(shape) * dtype.itemsize
        if needed > max_bytes:
            raise ValueError(f"{info.filename} declares {needed / 1e6:,.0f} MB, expected at most {max_bytes / 1e6:,.0f} MB")
        if needed > info.compress_size * 1032 + 2**20:
            raise ValueError(
                f"{info.filename} declares {needed:,} bytes, more than {info.compress_size:,} packed ones can hold"
            )
        return read_entries(stream, shape, fortran, dtype, info.file_size)


def _images(name: str, images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"{name} has shape {images.shape}, expected (n, H, W) or (n, H, W, C)")
    _, height, width, bands = images.shape
    if height == width == bands > 4:
        raise ValueError(f"{name} has shape {images.shape}: these are volumes, expected pictures (n, H, W) or (n, H, W, C)")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f" or not (images.min() >= 0.0 and images.max() <= 1.0):
        raise ValueError(f"{name} is {images.dtype}, expected uint8, or floating from 0 to 1")
    return images.astype(np.float32)


def _labels(name: str, labels: Any, count: int) -> np.ndarray:
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim == 2:
        raise ValueError(f"{name} has shape {labels.shape}: several labels for each picture, expected one")
    if (
        flat.shape != (count,)
        or flat.dtype.kind not in "iub"
        or not len(flat)
        or int(flat.min()) < 0
        or int(flat.max()) >= 2**16
    ):
        raise ValueError(f"{name} is {labels.dtype} of shape {labels.shape}, expected {count} whole numbers from 0")
    return flat.astype(np.int64)
