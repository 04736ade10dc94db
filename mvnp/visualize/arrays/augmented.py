"""What a network sees of pictures in training, as pictures again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...data import BatchLoader, Dataset, ImageFiles
from ...data.augment import Augmentation
from ...errors import InputError, refusing


@dataclass(frozen=True)
class Augmented:
    """Some pictures of a data set (H, W, 3) in 0 … 1, as they are stored, and each of them as it is seen several times, with
    what is said of it then: its class, or the classes that are mixed and their shares."""

    stored: list[np.ndarray]
    seen: list[list[np.ndarray]]
    labels: list[list[str]]


@refusing
def augmented(
    data: Dataset,
    augmentation: Augmentation,
    image_size: int,
    *,
    pictures: int = 6,
    times: int = 6,
    seed: int = 0,
    **options: object,
) -> Augmented:
    """Of every class in turn, `pictures` in all, an even number, drawn by the seed; each `times` times.

    options    others of BatchLoader: flip, crop_padding, mean, std
    """
    if pictures % 2 or not 2 <= pictures <= len(data):
        raise InputError(f"augmented: pictures is {pictures}, expected an even number from 2 to {len(data)}, those there are")
    few = _chosen(data, pictures, seed)
    augmentation = replace(augmentation, repeats=1.0)  # each has its row as it is, and all rows are to be as long
    loader = BatchLoader(few, pictures, train=True, seed=seed, image_size=image_size, augmentation=augmentation, **options)  # type: ignore[arg-type]
    seen: list[list[np.ndarray]] = [[] for _ in range(pictures)]
    labels: list[list[str]] = [[] for _ in range(pictures)]
    mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (loader.mean, loader.std))
    for epoch in range(times):
        images, targets = loader.batch(epoch, 0)
        for row, position in enumerate(loader.order(epoch)):
            seen[position].append(_coloured((images[row] * std + mean).transpose(1, 2, 0)))
            labels[position].append(_in_words(targets[row], few.classes))
    full = 255.0 if few.images.dtype == np.uint8 else 1.0
    stored = [_coloured(loader.picture(position) / full) for position in range(pictures)]
    return Augmented(stored, seen, labels)


def _chosen(data: Dataset, count: int, seed: int) -> Dataset:
    order = np.random.default_rng(seed).permutation(len(data))
    by_class = [order[data.labels[order] == label] for label in np.unique(data.labels)]
    turns = [positions[turn] for turn in range(count) for positions in by_class if turn < len(positions)]
    kept = np.array(turns[:count])
    images = data.images.chosen(kept) if isinstance(data.images, ImageFiles) else data.images[kept]
    files = tuple(data.files[position] for position in kept) if data.files else ()
    return replace(data, images=images, labels=data.labels[kept], files=files)


def _coloured(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) of any number of bands: grey three times, else the first three."""
    bands = picture.shape[2]
    return np.repeat(picture[..., :1], 3, axis=2) if bands < 3 else picture[..., :3]


def _in_words(target: np.ndarray, classes: tuple[str, ...]) -> str:
    """`cat`, or `cat 0.62, dog 0.38`."""
    if target.ndim == 0:
        return str(classes[int(target)])
    largest = [int(label) for label in np.argsort(-target, kind="stable")[:2] if target[label] > 0]
    if len(largest) == 1:
        return str(classes[largest[0]])
    return ", ".join(f"{classes[label]} {target[label]:.2f}" for label in largest)
