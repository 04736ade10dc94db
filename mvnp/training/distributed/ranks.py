"""Processes that train one model together: each a *rank*, with its share of every batch and a copy of the weights.

A step of N ranks is the step of one process with the whole batch, to rounding:

    loss        (1/B) Σ_b loss_b, over the B images of all ranks: each adds up its own, and then all_reduce
    gradients   ∇ of that loss, Σ over the ranks of the gradient of their shard (buckets.py)
    BatchNorm   sums over the batch, forward and backward: `Tape.all_gather` brings those of all ranks (docs/parallel.md)
    draws       of dropout and drop path, for the whole batch on each rank, which keeps its own rows

Here is what a process by itself does; mpi.py has the same for many.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from ...backend import Array
from ...errors import InputError

T = TypeVar("T")


class Ranks:
    """One process that trains by itself, and the interface of those that do so together.

    rank, size    which of how many, from 0
    """

    rank, size = 0, 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and shows progress."""
        return self.rank == 0

    def shard(self, total: int) -> slice:
        """The share of this rank of a batch of `total` images. Raises InputError where a rank would have none."""
        if total < self.size:
            raise InputError(f"a batch of {total} cannot be shared by {self.size} ranks; use a larger batch or fewer ranks")
        return slice(total * self.rank // self.size, total * (self.rank + 1) // self.size)

    def all_gather(self, value: T) -> list[T]:
        """The values of all ranks, in their order: numbers and small arrays, in tuples and lists."""
        return [value]

    def all_reduce(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Σ over the ranks of each array. All have the same names and shapes."""
        return arrays

    def from_first(self, function: Callable[[], T]) -> T:
        """function() as the first rank finds it; what it raises there is raised on all."""
        return function()

    def watch(self, message: str) -> None:
        """Have `message` shown should the run end without a word, because a process of it was killed."""

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """While this context lasts, no rank waits for another that has failed."""
        yield
