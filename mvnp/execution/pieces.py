"""A batch in pieces: each goes through the network by itself, several at the same time.

In evaluation samples have nothing to do with each other, and any cut will do. In training one layer looks at all of them:
BatchNorm, whose statistics are those of the whole batch. There the pieces meet and add up their sums (`Tape.gather`), so that
the result is that of the whole batch, to rounding. Random masks are drawn for the whole batch by every piece, which keeps its
own rows: what is dropped does not depend on how the batch was cut.

    forward     y = concat(f(x[part]))              each piece with a tape of its own
    backward    dx = concat(f'(dy[part]))           the gradients of the parameters are summed over the pieces
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..backend import Array, array_module
from ..core import Layer, Tape
from .parallel import Meeting, run, threads

# A piece of an evaluation is about this many pixels: enough rows for the products with the large matrices of the last levels.
PIECE_PIXELS = 8 * 224 * 224
# The first levels, whose maps are large and whose matrices are small, take this many at a time, to stay in the cache.
FEW_PIXELS = 4 * 224 * 224
# Below this, starting threads costs more than they save.
LEAST_PIXELS = 2 * 128 * 128


class PieceTape(Tape):
    """The tape of the samples `part` of a batch of `total`; `member` of those that meet at `meeting`."""

    def __init__(self, whole: Tape, part: slice, total: int, member: int, meeting: Meeting) -> None:
        super().__init__(whole.training, inputs=whole.inputs)
        self.rng = RowsOfDraws(copy.deepcopy(whole.rng), part, total)
        self._pending = list(whole._pending)
        self._whole, self._member, self._meeting = whole, member, meeting
        self.half = whole.half
        self.micro_batch = whole.micro_batch and max(1, whole.micro_batch // meeting.members)

    def gather(self, value: Any) -> list[Any]:
        values = self._meeting.gather(self._member, value)
        if self._whole.alone:
            return values
        # The batch goes on in other processes: one of the pieces asks them, and tells the others here.
        return self._meeting.gather(self._member, self._whole.gather_all(values) if self._member == 0 else [])[0]


class RowsOfDraws:
    """A generator that draws for the whole batch, and gives the rows of one piece. The leading axis of a shape counts samples,
    or windows, the same number for each sample."""

    def __init__(self, generator: np.random.Generator, part: slice, total: int) -> None:
        self.generator, self._part, self._total = generator, part, total

    def random(self, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        each = shape[0] // (self._part.stop - self._part.start)
        whole = self.generator.random((self._total * each, *shape[1:]), dtype=dtype)
        return whole[self._part.start * each : self._part.stop * each]


def forward_in_pieces(owner: Layer, function: Callable, x: Array, tape: Tape | None) -> Any:
    """function(x, tape), an array or a list of arrays. With a tape, `owner` calls `backward_in_pieces` later."""
    parts = _cut(x, tape)
    if tape is None:
        return joined(run([partial(function, x[part]) for part in parts]))
    if len(parts) == 1:
        return owner.record(tape, (function(x, tape), None))
    meeting = Meeting(len(parts))
    tapes = [PieceTape(tape, part, len(x), member, meeting) for member, part in enumerate(parts)]
    results = run([partial(function, x[part], piece) for part, piece in zip(parts, tapes, strict=True)], meeting)
    # Every piece has drawn the same numbers and found the same statistics.
    tape.rng, tape._pending = tapes[0].rng.generator, tapes[0]._pending
    return owner.record(tape, (joined(results), (parts, tapes, meeting)))


def backward_in_pieces(owner: Layer, function: Callable, dy: Any, tape: Tape) -> Array:
    """function(dy, tape) for the function that answers the one of `forward_in_pieces`; dy an array, or a list with Nones."""
    record = tape.pop(owner)
    if record is None:
        return function(dy, tape)
    parts, tapes, meeting = record
    dx = joined(run([partial(function, part_of(dy, p), piece) for p, piece in zip(parts, tapes, strict=True)], meeting))
    for piece in tapes:
        tape.take_gradients(piece)
    return dx


def a_few_at_a_time(function: Callable, x: Array) -> Any:
    """function(x), an array or a list of arrays, of images (B, H, W, C); on NumPy of a few of them after the other."""
    number = max(1, round(math.prod(x.shape[:3]) / FEW_PIXELS)) if array_module(x) is np else 1
    return joined([function(x[part]) for part in slices(len(x), min(number, len(x)))])


def _cut(x: Array, tape: Tape | None) -> list[slice]:
    """Slices of the batch. With a tape there are as many as threads, since pieces that meet must all be under way."""
    B, pixels, number = len(x), len(x) * x.shape[-1] * x.shape[-2], 1
    if array_module(x) is np and pixels >= LEAST_PIXELS:
        rounds = 1 if tape is not None else max(1, round(pixels / (PIECE_PIXELS * threads())))
        number = min(B, rounds * threads())
    return slices(B, number)


def slices(count: int, number: int) -> list[slice]:
    """Cuts `count` samples into `number` parts of nearly the same size."""
    edges = [count * i // number for i in range(number + 1)]
    return [slice(*edge) for edge in itertools.pairwise(edges)]


def part_of(dy: Any, part: slice) -> Any:
    """dy[part] of an array, or of each array in a list with Nones."""
    return [None if d is None else d[part] for d in dy] if isinstance(dy, list | tuple) else dy[part]


def joined(results: Sequence[Any]) -> Any:
    """What `part_of` would take apart."""
    if len(results) == 1 or results[0] is None:
        return results[0]
    if isinstance(results[0], list):
        return [array_module(*arrays).concatenate(arrays) for arrays in zip(*results, strict=True)]
    return array_module(*results).concatenate(results)
