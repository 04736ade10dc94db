"""Pictures and labels that a program has in its hands, as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import DataError, InputError
from ..models.arguments import check_integer
from .dataset import Dataset, statistics

NAME = "arrays of yours"
MOST_CLASSES = 100_000
Arrays = tuple[Any, Any]  # images and labels


def of_arrays(
    images: Any,
    labels: Any,
    *,
    test: Arrays | None = None,
    classes: Sequence[str] | None = None,
    held_out: float = 0.2,
    seed: int = 0,
) -> tuple[Dataset, Dataset]:
    """The training and the test part.

    images      uint8, or floating from 0 to 1: (n, H, W), (n, H, W, C) or (n, C, H, W), with C bands
    labels      (n,), integers from 0, or names
    test        images and labels of the test part; None: `held_out` of each class, chosen by `seed`, is kept for it
    classes     the names of the integers; None: the names themselves in their order, or "0", "1", …

    Means and deviations are those of the training part. Raises InputError for arrays that do not fit together, DataError where
    there is nothing to learn from them.
    """
    if not isinstance(held_out, float | int) or not 0.0 < held_out < 1.0:
        raise InputError(
            f"held_out is {held_out!r}, expected a share between 0 and 1; test=(images, labels) gives a part of its own"
        )
    check_integer("train", "seed", seed, least=0)
    pictures, given = _pictures("images", images), _labels("labels", labels)
    parts = [(pictures, given)]
    if test is not None:
        if not isinstance(test, tuple | list) or len(test) != 2:
            raise InputError(f"test is a {type(test).__name__}, expected the pair (images, labels)")
        parts.append((_pictures("the test images", test[0]), _labels("the test labels", test[1])))
    names = _names(given, classes)
    numbered = []
    for (part, marks), what in zip(parts, ("", "test "), strict=False):
        if len(part) != len(marks):
            raise InputError(f"there are {len(part)} {what}images and {len(marks)} {what}labels, expected as many of each")
        numbered.append((part, _numbers(marks, names, what)))
    (train_images, train_labels), *others = numbered
    if others:
        test_images, test_labels = others[0]
    else:
        chosen = _held_out(train_labels, len(names), held_out, seed)
        test_images, test_labels = train_images[chosen], train_labels[chosen]
        train_images, train_labels = train_images[~chosen], train_labels[~chosen]
    mean, std = statistics(train_images)
    return (
        Dataset(NAME, "train", train_images, train_labels, names, mean, std),
        Dataset(NAME, "test", test_images, test_labels, names, mean, std),
    )


def _pictures(what: str, images: Any) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InputError(
            f"{what} have dtype {images.dtype}, expected uint8, 0 to 255, or floating, 0 to 1; divide by the largest value"
            f" that can be, for example {np.iinfo(images.dtype).max if images.dtype.kind in 'iu' else 255}"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        raise InputError(f"{what} have shape {images.shape}, expected (n, H, W), (n, H, W, C) or (n, C, H, W), with C bands")
    _, first, height, last = images.shape
    if last not in (1, 3) and (first in (1, 3) or first < min(height, last)):
        images = images.transpose(0, 2, 3, 1)
    if images.dtype.kind == "f":
        least, most = float(images.min()), float(images.max())
        if not 0.0 <= least <= most <= 1.0:  # NaN too
            raise InputError(
                f"{what} have values from {least:g} to {most:g}, expected 0 to 1, fractions of full brightness; bring them"
                " there with (images - low) / (high - low), of the lowest and highest value that can be"
            )
        images = images.astype(np.float32)
    return np.ascontiguousarray(images)


def _labels(what: str, labels: Any) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iuUO":
        raise InputError(f"{what} are {labels.dtype} {labels.shape}, expected integers or names (n,), one for each image")
    if labels.dtype.kind in "iu" and len(labels) and not 0 <= labels.min() <= labels.max() < MOST_CLASSES:
        raise InputError(
            f"{what} go from {labels.min()} to {labels.max()}, expected the numbers of classes, from 0 to below {MOST_CLASSES};"
            " np.unique(labels, return_inverse=True)[1] numbers others"
        )
    return labels


def _names(labels: np.ndarray, classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is not None:
        names = tuple(map(str, classes))
    elif labels.dtype.kind in "iu":
        names = tuple(map(str, range(int(labels.max(initial=0)) + 1)))
    else:
        names = tuple(sorted(set(map(str, labels))))
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"the classes are {', '.join(names) or 'none'}; expected at least two, each once")
    return names


def _numbers(labels: np.ndarray, names: tuple[str, ...], what: str) -> np.ndarray:
    if labels.dtype.kind in "iu":
        if labels.max(initial=0) >= len(names):
            raise InputError(
                f"the {what}labels go from {labels.min()} to {labels.max()}, expected 0 to {len(names) - 1} for {len(names)}"
                " classes"
            )
        return labels.astype(np.int64)
    known = {name: number for number, name in enumerate(names)}
    strange = next((label for label in map(str, labels) if label not in known), None)
    if strange is not None:
        raise InputError(f"a {what}label is {strange!r}, expected one of the classes {', '.join(names)}")
    return np.array([known[str(label)] for label in labels], np.int64)


def _held_out(labels: np.ndarray, count: int, share: float, seed: int) -> np.ndarray:
    """A mask: of each class the share, at least one, and never all."""
    generator, chosen = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for number in range(count):
        of_class = generator.permutation(np.flatnonzero(labels == number))
        chosen[of_class[: min(max(1, round(share * len(of_class))), len(of_class) - 1)]] = len(of_class) > 1
    if not chosen.any():
        raise DataError("each class has a single picture: none can be held out; give test=(images, labels)")
    return chosen
