"""Picture files in batches, as a model takes them. One that cannot be read is reported and left out; the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import ImageTransform
from ..data.image_file import MAX_BYTES
from ..data.transforms import prepare
from ..errors import CheckpointError, DataError

OnBroken = Callable[[int, DataError], None]


@dataclass(frozen=True)
class PictureBatch:
    """Files `start` to `stop` of a list: x (B, C, H, W) of those that could be read, at `positions` (B,) of the list."""

    start: int
    stop: int
    positions: tuple[int, ...]
    x: np.ndarray


def picture_batches(
    files: Sequence[Path],
    transform: ImageTransform,
    batch_size: int,
    on_broken: OnBroken,
    start: int = 0,
    max_bytes: int = MAX_BYTES,
) -> Iterator[PictureBatch]:
    """The files in order, `batch_size` at a time; `on_broken` is told the position of what is no picture, and the error.

    max_bytes    what one picture may take once it is decoded
    """
    for first in range(start, len(files), batch_size):
        stop = min(first + batch_size, len(files))
        read = []
        for position in range(first, stop):
            try:
                read.append((position, transform.read(files[position], max_bytes)))
            except DataError as error:
                on_broken(position, error)
        x = np.stack([image for _, image in read]) if read else np.empty((0, *transform.shape), np.float32)
        yield PictureBatch(first, stop, tuple(position for position, _ in read), x)


def array_batches(images: np.ndarray, transform: ImageTransform, batch_size: int, start: int = 0) -> Iterator[PictureBatch]:
    """The same of pictures that are arrays, uint8 (n, H, W, C), prepared as the loader of a training does it."""
    for first in range(start, len(images), batch_size):
        stop = min(first + batch_size, len(images))
        x = prepare(images[first:stop], transform.size, transform.mean, transform.std)
        yield PictureBatch(first, stop, tuple(range(first, stop)), x)


def check_finite(values: np.ndarray, batch: PictureBatch, files: Sequence[Path]) -> None:
    """Raise CheckpointError that names the first picture for which a model gave something else than numbers."""
    wrong = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if wrong.any():
        file = files[batch.positions[int(wrong.argmax())]]
        raise CheckpointError(f"the model gives no finite numbers for {file}: are these weights whole, and of a trained model?")
