"""Labelled pictures: what a data set is, wherever it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import DataError, InputError, are_numbers, shown
from .folder import ImageFiles


@dataclass(frozen=True, eq=False)
class Dataset:
    """One part of a data set: pictures and what they show.

    name         where it comes from
    part         "train" or "test"
    images       uint8 (n, H, W, C): an array, or `ImageFiles` where that would be too large
    labels       int64 (n,), positions in `classes`
    classes      their names
    mean, std    of each channel of the training pictures, as fractions of full brightness

    Raises DataError where these do not fit together.
    """

    name: str
    part: str
    images: np.ndarray | ImageFiles
    labels: np.ndarray
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

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
        if len(self.images.shape) != 4 or self.images.dtype != np.uint8:
            raise DataError(f"{who}: images are {self.images.dtype} {self.images.shape}, expected uint8 (n, H, W, C)")
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
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise DataError(f"{who}: {len(self.mean)} means and {len(self.std)} deviations for {self.channels} channels")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for colour."""
        return int(self.images.shape[3])


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
    return replace(dataset, images=images, labels=labels[kept], classes=names)


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


def statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of uint8 (n, H, W, C), as fractions of 255.

    Counted over the 256 values that a pixel can have, so that no rounding adds up. Raises DataError where a channel is
    the same everywhere: it cannot be standardised.
    """
    value = np.arange(256) / 255.0
    means, stds = [], []
    for channel in range(images.shape[3]):
        share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
        mean = float(share @ value)
        means.append(mean)
        stds.append(float(np.sqrt(share @ (value - mean) ** 2)))
    if min(stds) == 0.0:
        raise DataError(
            f"the training pictures are all of one brightness ({means[0] * 255:.0f} of 255); there is nothing to learn"
        )
    return tuple(means), tuple(stds)
