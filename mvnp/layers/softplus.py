"""Softplus: a smooth max(x, 0), always positive. It makes the step sizes Δ of the scan.

    x, y, dx, dy any shape

    forward     y = log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)        (1)
    backward    dx = dy σ(x) = dy (1 − e⁻ʸ)                          (2)

The second form of (1) never overflows and is exact in both tails. The second form of (2) follows
from eʸ = 1 + eˣ, so 1 − e⁻ʸ = eˣ / (1 + eˣ). It needs y alone, and keeps every digit where σ is
tiny, as it is for the small Δ of a Mamba."""

from ..backend import Array, array_module
from ..core import Function
from ..errors import check_array
from ..kernels import twin


@twin
def softplus_forward(x: Array) -> tuple[Array, Array]:
    """y of (1); the cache is y."""
    check_array("Softplus", "x", x, (...,))
    xp = array_module(x)
    y = xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))  # (1)
    return y, y


@twin
def softplus_backward(dy: Array, y: Array) -> Array:
    """dx of (2)."""
    check_array("Softplus", "dy", dy, y.shape, y)
    return dy * -array_module(dy, y).expm1(-y)  # (2)


class Softplus(Function):
    """log(1 + eˣ), entry by entry."""

    pair = softplus_forward, softplus_backward
