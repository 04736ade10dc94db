"""Dropout: silence random entries during training, and scale the rest so that the mean stays.

    x, y, dx, dy any shape    mask m like x; an axis of size 1 shares a draw

    forward     y = m x        m = 0 with probability p, else 1/(1 − p)        (1)
    backward    dx = m dy                                                      (2)

In evaluation y = x. The mask is drawn on the host from the tape's generator and moved once.

Srivastava et al.: Dropout, JMLR 15 (2014), in the inverted form that leaves evaluation alone."""

import numpy as np

from ..backend import Array, array_module, moved_to
from ..core import Layer, Tape
from ..errors import check_array, check_fits_mask, check_rate
from ..kernels import twin


def draw_mask(rng: np.random.Generator, shape: tuple[int, ...], rate: float, like: Array) -> Array:
    """m of (1), in the dtype and on the device of `like`."""
    kept = rng.random(shape, dtype=np.float32) >= rate
    return moved_to(like, kept.astype(like.dtype) * like.dtype.type(1.0 / (1.0 - rate)))


@twin
def dropout_forward(x: Array, mask: Array) -> tuple[Array, Array]:
    """y of (1); the cache is the mask."""
    check_fits_mask("Dropout", "x", x, mask)
    array_module(x, mask)
    return mask * x, mask  # (1)


@twin
def dropout_backward(dy: Array, mask: Array) -> Array:
    """dx of (2): what was silenced has no influence, the rest was scaled."""
    check_fits_mask("Dropout", "dy", dy, mask)
    array_module(dy, mask)
    return mask * dy  # (2)


class Dropout(Layer):
    """Drop entries with probability `rate` in training; else, and for rate 0, the identity."""

    def __init__(self, rate: float) -> None:
        check_rate(type(self).__name__, "rate", rate)
        self.rate = rate

    def mask_shape(self, x: Array) -> tuple[int, ...]:
        """One draw for each entry."""
        return tuple(x.shape)

    def draw(self, tape: Tape | None, shape: tuple[int, ...], like: Array) -> Array | None:
        """A mask of `shape`, where `like` is; None in evaluation and for rate 0: all stays."""
        if tape is None or not tape.training or self.rate == 0.0:
            return None
        return draw_mask(tape.rng, shape, self.rate, like)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        check_array(type(self).__name__, "x", x, (...,))
        mask = self.draw(tape, self.mask_shape(x), x)
        return self.record(tape, (x, None) if mask is None else dropout_forward(x, mask))

    def backward(self, dy: Array, tape: Tape) -> Array:
        mask = tape.pop(self)
        return dy if mask is None else dropout_backward(dy, mask)
