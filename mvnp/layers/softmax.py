"""Softmax over the last axis: positive weights that sum to one.

    x, y, dx, dy (..., C)

    forward     y_i = e^(x_i − m) / Σ_j e^(x_j − m)        m = max x        (1)
    backward    dx = y (dy − Σ_j dy_j y_j)                                  (2)

m changes nothing (it cancels) but keeps every exponent at or below 0. Entries of −∞ get weight 0
and gradient 0, which is how attention masks keys; a row of nothing but −∞ gives NaN."""

from ..backend import Array, array_module
from ..core import Function
from ..errors import check_array
from ..kernels import twin


@twin
def softmax_forward(x: Array) -> tuple[Array, Array]:
    """y of (1); the cache is y."""
    check_array("Softmax", "x", x, (..., "C"))
    m = x.max(axis=-1, keepdims=True)
    e = array_module(x).exp(x - m)
    y = e / e.sum(axis=-1, keepdims=True)  # (1)
    return y, y


@twin
def softmax_backward(dy: Array, y: Array) -> Array:
    """dx of (2)."""
    check_array("Softmax", "dy", dy, y.shape, y)
    # ∂y_i/∂x_j = y_i (δ_ij − y_j): x_j raises its own weight and, by the denominator, lowers all.
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))  # (2)


class Softmax(Function):
    """Softmax over the last axis."""

    pair = softmax_forward, softmax_backward
