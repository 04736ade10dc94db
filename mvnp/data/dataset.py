"""Labelled pictures: what a data set is, wherever it comes from."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import DataError, DataWarning, InputError, are_numbers, shown
from .folder import ImageFiles


@dataclass(frozen=True, eq=False)
class Dataset:
    """One part of a data set: pictures and what they show.

    name         where it comes from
    part         "train", "val" or "test"
    images       uint8 (n, H, W, C), or float32, fractions of full brightness: an array, or `ImageFiles` where that would be too
                 large
    labels       int64 (n,), positions in `classes`
    classes      their names
    mean, std    of each channel of the training pictures, as fractions of full brightness
    value_range  which stored values are black and white (picture.py); None: those of the dtype
    files        where each picture lies (n,); (): in no file of its own

    Raises DataError where these do not fit together.
    """

    name: str
    part: str
    images: np.ndarray | ImageFiles
    labels: np.ndarray
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    value_range: tuple[float, float] | None = None
    files: tuple[Path, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        who = f"{self.name} ({self.part})"
        for what in ("images", "labels"):
            value = getattr(self, what)
            if not isinstance(value, np.ndarray | ImageFiles):
                raise DataError(f"{who}: {what} are a {type(value).__name__}, expected an array")
        if isinstance(self.classes, str) or not isinstance(self.classes, Sequence):
            raise DataError(f"{who}: classes is {shown(self.classes)}, expected the names of the classes, a tuple")
        for what in ("mean", "std"):
            if not are_numbers(getattr(self, what)):
                raise DataError(
                    f"{who}: {what} is {shown(getattr(self, what))}, expected a tuple with a number for each channel"
                )
        if len(self.images.shape) != 4 or self.images.dtype not in (np.uint8, np.float32):
            raise DataError(
                f"{who}: images are {self.images.dtype} {self.images.shape}, expected uint8 (n, H, W, C), or float32 from 0"
                " to 1"
            )
        if 0 in self.images.shape:
            raise DataError(f"{who}: images have shape {tuple(self.images.shape)}: there is nothing in them")
        if self.labels.shape != (len(self.images),) or self.labels.dtype != np.int64:
            raise DataError(
                f"{who}: labels are {self.labels.dtype} {self.labels.shape}, expected int64 ({len(self.images)},), one an image"
            )
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise DataError(
                f"{who}: labels go from {self.labels.min()} to {self.labels.max()}, expected 0 to {len(self.classes) - 1}"
                f" for {len(self.classes)} classes"
            )
        if self.files and len(self.files) != len(self.images):
            raise DataError(f"{who}: {len(self.files)} files for {len(self.images)} images, expected one an image")
        if min(self.std, default=1) <= 0:
            raise DataError(f"{who}: std is {shown(self.std)}, expected numbers above 0")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise DataError(f"{who}: {len(self.mean)} means and {len(self.std)} deviations for {self.channels} channels")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for colour, or the number of bands."""
        return int(self.images.shape[3])

    @property
    def counts(self) -> np.ndarray:
        """int64 (classes,), how many pictures there are of each."""
        return np.bincount(self.labels, minlength=len(self.classes))


def chosen_classes(dataset: Dataset, numbers: Sequence[int]) -> Dataset:
    """The pictures of some classes alone, in their stored order; the first of `numbers` becomes class 0, and so on."""
    new_labels = np.full(len(dataset.classes), -1, np.int64)
    new_labels[list(numbers)] = np.arange(len(numbers))
    labels = new_labels[dataset.labels]
    kept = np.flatnonzero(labels >= 0)
    names = tuple(dataset.classes[number] for number in numbers)
    if not len(kept):
        raise DataError(f"{dataset.name} ({dataset.part}): there are no pictures of {', '.join(names)}")
    images = dataset.images.chosen(kept) if isinstance(dataset.images, ImageFiles) else dataset.images[kept]
    files = tuple(dataset.files[position] for position in kept) if dataset.files else ()
    return replace(dataset, images=images, labels=labels[kept], classes=names, files=files)


def in_channels(dataset: Dataset, channels: int) -> Dataset:
    """The same with grey pictures repeated in each of `channels`, as a view; a set that has them already is given back.

    Raises InputError for colour where grey is asked for: a folder of pictures is read in grey in the first place.
    """
    if dataset.channels == channels:
        return dataset
    if dataset.channels != 1 or isinstance(dataset.images, ImageFiles):
        raise InputError(f"{dataset.name} has {dataset.channels} channels, and the model takes {channels}")
    images = np.broadcast_to(dataset.images, (*dataset.images.shape[:3], channels))
    return replace(dataset, images=images, mean=dataset.mean * channels, std=dataset.std * channels)


def statistics(images: np.ndarray | ImageFiles, most: int | None = None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, as fractions of full brightness.

    images    uint8 (n, H, W, C), or float32, fractions already
    most      so many of them, evenly chosen; None: all

    Of 8 bits, counted over the 256 values that a pixel can have, so that no rounding adds up. One band that is the same
    everywhere gets a deviation of 1, and is 0 for the model, with a warning; raises DataError where all are.
    """
    step = 1 if most is None else max(1, -(-len(images) // most))
    chosen = np.arange(0, len(images), step)
    channels = int(images.shape[3])
    found = [_Moments() for _ in range(channels)]
    for first in range(0, len(chosen), _AT_ONCE):
        some = images[chosen[first : first + _AT_ONCE]]
        for channel in range(channels):
            found[channel].add(some[..., channel])
    means, stds = [each.mean for each in found], [each.std for each in found]
    # What rounding leaves of a constant is no deviation.
    flat = [band for band, (mean, std) in enumerate(zip(means, stds, strict=True)) if std <= 1e-7 * abs(mean)]
    if len(flat) == channels:
        raise DataError(
            f"the training pictures are all of one brightness ({means[0] * 255:.0f} of 255); there is nothing to learn"
        )
    if flat:
        named = ", ".join(str(band + 1) for band in flat)
        warnings.warn(
            f"of the {channels} bands, number {named} is the same in all training pictures, and tells the model nothing",
            DataWarning,
            stacklevel=2,
        )
    return tuple(means), tuple(1.0 if band in flat else std for band, std in enumerate(stds))


_AT_ONCE = 64  # pictures that are looked at together


class _Moments:
    """Sums of one channel's values."""

    def __init__(self) -> None:
        self.counts = np.zeros(256, np.int64)  # of 8 bits
        self.count, self._mean, self._squares = 0, 0.0, 0.0  # of others: Welford's, a batch at a time

    def add(self, values: np.ndarray) -> None:
        if values.dtype == np.uint8:
            self.counts += np.bincount(values.ravel(), minlength=256)
            return
        mean = float(values.mean(dtype=np.float64))
        squares = float(np.square(values - mean, dtype=np.float64).sum())
        total = self.count + values.size
        shift = mean - self._mean
        self._squares += squares + shift**2 * self.count * values.size / total
        self._mean += shift * values.size / total
        self.count = total

    @property
    def mean(self) -> float:
        return self._mean if self.count else float(self._share @ _VALUES)

    @property
    def std(self) -> float:
        variance = self._squares / self.count if self.count else float(self._share @ (_VALUES - self.mean) ** 2)
        return float(np.sqrt(variance))

    @property
    def _share(self) -> np.ndarray:
        return self.counts / self.counts.sum()


_VALUES = np.arange(256) / 255.0
