"""Batches on their way to where the model is.

On the host they are prepared there, as data/transforms.py says. To a GPU they go up as they are stored, uint8, a quarter of
the bytes, and are mirrored, cut and standardised there, by a twin; and while a step runs, a thread fetches the next batch. It
touches no device: what a thread launches would go to another device, or stream, than its caller's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from ..backend import Array, from_numpy
from ..data import BatchLoader
from ..data.loader import StoredBatch
from ..kernels import twin


@twin
def prepared(like: Array, batch: StoredBatch, loader: BatchLoader) -> Array:
    """float32 (B, C, H', W'): what `loader` makes of a batch, in the backend in use. `like` is any array of the model's."""
    return from_numpy(loader.prepare(loader.augmented(batch)))


class Feed:
    """The batches of a loader, in order, for a model that `like` is an array of.

    part    gives the rows of a batch of so many images that this process takes
    """

    def __init__(self, loader: BatchLoader, like: Array, part: Callable[[int], slice]) -> None:
        self._loader, self._like, self._part = loader, like, part
        self._thread = None if isinstance(like, np.ndarray) else ThreadPoolExecutor(1, "mvnp-feed")
        self._next: tuple[tuple[int, int], Future[StoredBatch]] | None = None

    @property
    def ahead(self) -> bool:
        """Whether it fetches batches while a step runs."""
        return self._thread is not None and self._loader.plain

    def batch(self, epoch: int, index: int) -> tuple[Array, np.ndarray]:
        """Images where the model is, and labels on the host."""
        if self._thread is None or not self._loader.plain:  # what is drawn picture by picture is made on the host
            return self._loader.batch(epoch, index, self._rows(index))
        key, fetched = self._next or (None, None)
        stored: Any = fetched.result() if fetched is not None and key == (epoch, index) else self._stored(epoch, index)
        if index + 1 < len(self._loader):
            self._next = (epoch, index + 1), self._thread.submit(self._stored, epoch, index + 1)
        return prepared(self._like, stored, self._loader), stored.labels

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _stored(self, epoch: int, index: int) -> StoredBatch:
        return self._loader.stored(epoch, index, self._rows(index))

    def _rows(self, index: int) -> slice:
        return self._part(self._loader.batch_length(index))
