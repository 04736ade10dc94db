"""SiLU (swish): x gated by its own sigmoid.

    x, y, dx, dy any shape

    forward     y = x σ(x)                     σ(x) = 1 / (1 + e⁻ˣ) = (1 + tanh(x/2)) / 2        (1)
    backward    dx = dy σ(x) (1 + x (1 − σ(x)))                                                  (2)

The tanh form of σ cannot overflow, and needs no case distinction.

Elfwing, Uchibe, Doya: Sigmoid-Weighted Linear Units, arXiv:1702.03118, eq. 5."""

from ..backend import Array, array_module
from ..core import Function
from ..errors import check_array
from ..kernels import twin


@twin
def silu_forward(x: Array) -> tuple[Array, Array]:
    """y of (1); the cache is x."""
    check_array("SiLU", "x", x, (...,))
    return x * sigmoid(x), x  # (1)


@twin
def silu_backward(dy: Array, x: Array) -> Array:
    """dx of (2): the product rule, with σ' = σ (1 − σ)."""
    check_array("SiLU", "dy", dy, x.shape, x)
    gate = sigmoid(x)
    return dy * gate * (1 + x * (1 - gate))  # (2)


def sigmoid(x: Array) -> Array:
    """σ of (1)."""
    return (1 + array_module(x).tanh(x / 2)) / 2


class SiLU(Function):
    """x σ(x), entry by entry."""

    pair = silu_forward, silu_backward
