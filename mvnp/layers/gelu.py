"""GELU: weigh x by the probability that a standard normal lies below it.

    x, y, dx, dy any shape    Φ, φ distribution and density of the standard normal

    exact     y = x Φ(x)                    Φ(x) = (1 + erf(x/√2)) / 2                         (1)
              dx = dy (Φ(x) + x φ(x))       φ(x) = exp(−x²/2) / √(2π)                          (2)

    tanh      y = x/2 (1 + tanh u)          u = √(2/π) (x + 0.044715 x³)                       (3)
              dx = dy/2 (1 + tanh u + x (1 − tanh² u) u')     u' = √(2/π) (1 + 0.134145 x²)    (4)

MambaVision uses (1) in its MLPs and (3) in its convolution blocks; they differ by up to 5e-4.

Hendrycks, Gimpel: Gaussian Error Linear Units, arXiv:1606.08415, section 2.
"""

from __future__ import annotations

import math

from ..backend import Array, array_module, erf
from ..core import Layer, Tape
from ..errors import check_array, check_choice
from ..execution.blockwise import blockwise
from ..kernels import twin

SQRT_HALF = math.sqrt(0.5)
SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
CUBIC = 0.044715


@twin
def gelu_forward(x: Array) -> tuple[Array, Array]:
    """y of (1); the cache is x."""
    check_array("GELU", "x", x, (...,))
    return blockwise(_exact, x), x


@twin
def gelu_backward(dy: Array, cache: Array) -> Array:
    """dx of (2): the product rule, with Φ' = φ."""
    return blockwise(lambda dy, x: dy * _exact_slope(x), dy, cache)


@twin
def gelu_tanh_forward(x: Array) -> tuple[Array, Array]:
    """y of (3); the cache is x."""
    check_array("GELU", "x", x, (...,))
    return blockwise(lambda x: 0.5 * x * (1.0 + _tanh_u(x)), x), x


@twin
def gelu_tanh_backward(dy: Array, cache: Array) -> Array:
    """dx of (4): the product rule, with tanh' = 1 − tanh²."""
    return blockwise(lambda dy, x: dy * _tanh_slope(x), dy, cache)


def _exact(x: Array) -> Array:
    z = x * SQRT_HALF
    y = erf(z)
    y += 1.0
    y *= x
    y *= 0.5
    return y


def _exact_slope(x: Array) -> Array:
    density = array_module(x).exp(x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi))
    return 0.5 * (1.0 + erf(x * SQRT_HALF)) + x * density


def _tanh_slope(x: Array) -> Array:
    tanh = _tanh_u(x)
    slope = SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * x * x)
    return 0.5 * (1.0 + tanh + x * (1.0 - tanh * tanh) * slope)


def _tanh_u(x: Array) -> Array:
    # x·x·x, not x**3: the power function is many times slower.
    return array_module(x).tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x))


class GELU(Layer):
    """The Gaussian error linear unit. `approximate`: "none" for (1), "tanh" for (3)."""

    def __init__(self, approximate: str = "none") -> None:
        check_choice("GELU approximation", approximate, ("none", "tanh"))
        self.approximate = approximate

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.record(tape, gelu_forward(x) if self.approximate == "none" else gelu_tanh_forward(x))

    def backward(self, dy: Array, tape: Tape) -> Array:
        backward = gelu_backward if self.approximate == "none" else gelu_tanh_backward
        return backward(dy, tape.pop(self))
