"""ReLU: keep what is positive.

    x, y, dx, dy any shape

    forward     y = max(x, 0)                       (1)
    backward    dx = dy [x > 0] = dy sign(y)        (2)

At x = 0 the derivative does not exist; 0 is taken, as everywhere. NaN passes through, both ways."""

from ..backend import Array, array_module
from ..core import Function
from ..errors import check_array
from ..kernels import twin


@twin
def relu_forward(x: Array) -> tuple[Array, Array]:
    """y of (1); the cache is y, whose sign is all that the backward needs."""
    check_array("ReLU", "x", x, (...,))
    y = array_module(x).maximum(x, 0)  # (1)
    return y, y


@twin
def relu_backward(dy: Array, y: Array) -> Array:
    """dx of (2)."""
    check_array("ReLU", "dy", dy, y.shape, y)
    return dy * array_module(dy, y).sign(y)  # (2)


class ReLU(Function):
    """max(x, 0), entry by entry."""

    pair = relu_forward, relu_backward
