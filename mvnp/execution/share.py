"""A share of a batch: some of its samples, on a tape of their own.

A batch is shared by threads of a process (shares.py), by processes (mvnp/training/distributed), and by micro-batches that
run one after the other (checkpointing.py). What a share gives is what the whole batch would give for these samples, to
rounding, as far as layers ask the tape for all that concerns the others:

    draws         random masks are drawn for the whole batch by every share, which keeps its own rows
    all_gather    BatchNorm's sums are those of all shares
    gradients     of the parameters: each share adds its summand to those of the whole
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import Array, array_module
from ..core import Layer, Tape


class ShareTape(Tape):
    """The tape of the samples `rows` of a batch of `total`, whose tape is `whole`.

    all_gather     gives the values of all shares for that of this one; None: that of `whole`
    add            takes the id of a parameter and a summand of its gradient; None: that of `whole`
    micro_batch    0, or how many samples at a time checkpointed parts of the network may keep caches for
    rng            the generator, as it was before the first draw; None: that of `whole`
    keep           False: nothing is recorded, for a forward that will run once more
    """

    def __init__(
        self,
        whole: Tape,
        rows: slice,
        total: int,
        all_gather: Callable[[Any], list[Any]] | None = None,
        add: Callable[[int, Array], None] | None = None,
        micro_batch: int = 0,
        rng: Any = None,
        keep: bool = True,
    ) -> None:
        super().__init__(whole.training, inputs=whole.inputs)
        self.rng = RowsOfDraws(copy.deepcopy(whole.rng if rng is None else rng), rows, total)
        self.updates, self.grads = list(whole.updates), whole.grads
        self.whole, self.rows, self.micro_batch, self.keep = whole, rows, micro_batch, keep
        self._gather, self._add = all_gather or whole.all_gather, add or whole.add

    def all_gather(self, value: Any) -> list[Any]:
        return self._gather(value)

    def push(self, layer: Layer, cache: Any) -> None:
        if self.keep:
            super().push(layer, cache)

    def store(self, layer: Layer, cache: Any) -> Any:
        return self.whole.store(layer, cache)

    def restore(self, cache: Any) -> Any:
        return self.whole.restore(cache)

    def add(self, key: int, gradient: Array) -> None:
        self.seal()
        self._add(key, gradient)

    def advance_whole(self) -> None:
        """After a forward: the whole's generator and statistics move on. Every share has drawn the same numbers and found the
        same statistics, so one of them stands for all."""
        self.whole.rng, self.whole.updates = self.rng.generator, self.updates


class RowsOfDraws:
    """A generator that draws for the whole batch, and gives the rows of one share. The leading axis of a shape counts samples,
    or windows, the same number for each sample."""

    def __init__(self, generator: Any, rows: slice, total: int) -> None:
        self.generator, self._rows, self._total = generator, rows, total

    def random(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        each = shape[0] // (self._rows.stop - self._rows.start)
        draws = self.generator.random((self._total * each, *shape[1:]), dtype=dtype)
        return draws[self._rows.start * each : self._rows.stop * each]


def micro_batch_of(tape: Tape | None) -> int:
    """How many samples at a time checkpointed parts may keep caches for; 0: all."""
    return tape.micro_batch if isinstance(tape, ShareTape) else 0


def slices(count: int, number: int) -> list[slice]:
    """Cuts `count` samples into `number` shares of nearly the same size."""
    edges = [count * i // number for i in range(number + 1)]
    return [slice(*edge) for edge in itertools.pairwise(edges)]


def rows_of(value: Any, rows: slice) -> Any:
    """These rows of an array, or of each array in a list with Nones."""
    return [None if v is None else v[rows] for v in value] if isinstance(value, list | tuple) else value[rows]


def concatenated(shares: Sequence[Any]) -> Any:
    """What `rows_of` would cut into these."""
    if len(shares) == 1 or shares[0] is None:
        return shares[0]
    if isinstance(shares[0], list):
        return [array_module(*arrays).concatenate(arrays) for arrays in zip(*shares, strict=True)]
    return array_module(*shares).concatenate(shares)
