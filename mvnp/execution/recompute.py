"""Less memory for a training step: keep what a part of the network was given, and work out the rest again in the backward.

A backward needs what the layers in between were given, and so a step's memory grows with the batch and with the depth. With
`tape.micro_batch` set, parts of the network forget all of that in the forward and keep their input alone. In the backward a
part runs forward once more, now with a tape, and straight back:

    forward     y = f(x)                 kept: x, and where the generator of the random masks stood
    backward    f(x) again, with a tape  the same masks and statistics, so the same y
                dx = f'(x)ᵀ dy           the tape is dropped before the next part begins

Where samples have nothing to do with each other, they do so a few at a time, and the gradients of the parameters are summed:

    dθ = Σ_i f'_θ(x_i)ᵀ dy_i             over micro-batches i of at most `tape.micro_batch` samples

That holds for the levels of scan and attention, which have LayerNorm only, and which most of the memory is for. In the stem and
the convolution blocks BatchNorm looks at the whole batch: they run again block by block, the batch in one. So the result is
that of the whole batch in one go, to rounding; it costs a second forward.

Chen, Xu, Zhang, Guestrin: Training Deep Nets with Sublinear Memory Cost, arXiv:1604.06174, section 4.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ..backend import Array
from ..core import Layer, Tape
from .pieces import RowsOfDraws, joined, part_of, slices


class PartTape(Tape):
    """A tape for the samples `part` of the `total` on `whole`; random masks are drawn as `generator` would have."""

    def __init__(self, whole: Tape, generator: Any, part: slice, total: int) -> None:
        super().__init__(whole.training, inputs=whole.inputs)
        self.rng = RowsOfDraws(copy.deepcopy(generator), part, total)
        self._pending = list(whole._pending)
        self._whole, self.half = whole, whole.half

    def gather(self, value: Any) -> list[Any]:
        return self._whole.gather(value)


class ForgetfulTape(PartTape):
    """Behaves as in training, and keeps nothing for a backward."""

    def push(self, layer: Layer, cache: Any) -> None:
        pass


def forward_to_recompute(owner: Layer, function: Callable, x: Array, tape: Tape | None, together: bool = True) -> Any:
    """function(x, tape), an array or a list of arrays. Where the tape has a `micro_batch`, x is all that is kept.

    together    False: the samples of x have nothing to do with each other, and go a few at a time

    `owner` calls `backward_to_recompute` later, if there is a tape.
    """
    if tape is None or not tape.micro_batch:
        return function(x, tape)
    parts = slices(len(x), 1 if together else -(-len(x) // tape.micro_batch))
    before, results = copy.deepcopy(tape.rng), []
    for part in parts:
        forgetful = ForgetfulTape(tape, before, part, len(x))
        results.append(function(x[part], forgetful))
    # Every part has drawn the same numbers, and parts that are not together find no statistics.
    tape.rng, tape._pending = forgetful.rng.generator, forgetful._pending
    return owner.record(tape, (joined(results), (x, before, parts)))


def backward_to_recompute(owner: Layer, function: Callable, backward: Callable, dy: Any, tape: Tape) -> Any:
    """backward(dy, tape), which answers `function`; dy an array, or a list with Nones."""
    if not tape.micro_batch:
        return backward(dy, tape)
    x, before, parts = tape.pop(owner)
    results = []
    for part in parts:
        again = PartTape(tape, before, part, len(x))
        function(x[part], again)
        results.append(backward(part_of(dy, part), again))
        tape.take_gradients(again)
    return joined(results)
