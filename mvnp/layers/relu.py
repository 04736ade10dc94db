"""ReLU: keep what is positive.

    x, y, dx, dy any shape

    forward     y = max(x, 0)          (1)
    backward    dx = dy [x > 0]        (2)

At x = 0 the derivative does not exist; 0 is taken, as everywhere. NaN passes through.
"""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Layer, Tape
from ..errors import check_array
from ..execution.blockwise import blockwise


def relu_forward(x: Array) -> tuple[Array, Array]:
    """y of (1); the cache is y, whose sign is all that the backward needs."""
    check_array("ReLU", "x", x, (...,))
    xp = array_module(x)
    # 0 as an array of the same kind: NumPy compares with a number one by one.
    y = blockwise(lambda x: xp.maximum(x, xp.zeros_like(x)), x)
    return y, y


def relu_backward(dy: Array, cache: Array) -> Array:
    """dx of (2)."""
    return blockwise(lambda dy, y: dy * (y > 0), dy, cache)


class ReLU(Layer):
    """max(x, 0), entry by entry."""

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.record(tape, relu_forward(x))

    def backward(self, dy: Array, tape: Tape) -> Array:
        return relu_backward(dy, tape.pop(self))
