"""Gradient checkpointing: keep what a part of the network was given, and work out the rest again in the backward.

A backward needs what the layers in between were given, and so a step's memory grows with the batch and with the depth. Where
the tape has a `micro_batch` (ShareTape), parts of the network that are decorated with `@checkpointed` forget all of that in
the forward and keep their input alone. In the backward such a part runs forward once more, now with a tape, and straight back:

    forward     y = f(x)                 kept: x, and where the generator of the random masks stood
    backward    f(x) again, with a tape  the same masks and statistics, so the same y
                dx = f'(x)ᵀ dy           the tape is dropped before the next part begins

Where samples have nothing to do with each other, they do so a few at a time, and the gradients of the parameters are summed:

    dθ = Σ_i f'_θ(x_i)ᵀ dy_i             over micro-batches i of at most `micro_batch` samples

That holds for the levels of scan and attention, which have LayerNorm only, and which most of the memory is for. In the stem and
the convolution blocks BatchNorm looks at the whole batch: they run again block by block, the batch in one. So the result is
that of the whole batch in one go, to rounding; it costs a second forward.

Chen, Xu, Zhang, Guestrin: Training Deep Nets with Sublinear Memory Cost, arXiv:1604.06174, section 4.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from ..backend import Array
from ..core import Layer, Tape
from .share import ShareTape, concatenated, micro_batch_of, rows_of, slices

Part = TypeVar("Part", bound=Layer)


class Checkpoint(NamedTuple):
    """What is kept of a forward: the input, the generator as it was before, and the rows of each micro-batch."""

    x: Array
    rng: Any
    micro_batches: list[slice]


def checkpointed(*, by_sample: bool) -> Callable[[type[Part]], type[Part]]:
    """Decorates a class of layers, `forward(x, tape)` and `backward(dy, tape)`, that can run forward a second time.

    by_sample    True: samples have nothing to do with each other, and go a few at a time
    """

    def decorate(layer: type[Part]) -> type[Part]:
        forward: Callable[..., Any] = layer.forward
        backward: Callable[..., Any] = layer.backward

        @functools.wraps(forward)
        def forward_keeping_x(self: Layer, x: Array, tape: Tape | None = None) -> Array:
            size = micro_batch_of(tape)
            if tape is None or not size:
                return forward(self, x, tape)
            micro_batches = slices(len(x), -(-len(x) // size) if by_sample else 1)
            before, y = copy.deepcopy(tape.rng), []
            for rows in micro_batches:
                share = ShareTape(tape, rows, len(x), rng=before, keep=False)
                y.append(forward(self, x[rows], share))
            share.advance_whole()
            tape.push(self, Checkpoint(x, before, micro_batches))
            return concatenated(y)

        @functools.wraps(backward)
        def backward_from_x(self: Layer, dy: Array, tape: Tape) -> Array:
            if not isinstance(tape.top(self), Checkpoint):
                return backward(self, dy, tape)
            x, before, micro_batches = tape.pop(self)
            dx = []
            for rows in micro_batches:
                share = ShareTape(tape, rows, len(x), rng=before)
                forward(self, x[rows], share)
                dx.append(backward(self, rows_of(dy, rows), share))
            return concatenated(dx)

        layer.forward, layer.backward = forward_keeping_x, backward_from_x  # type: ignore[method-assign, assignment]
        return layer

    return decorate
