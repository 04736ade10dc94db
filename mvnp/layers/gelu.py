"""GELU: weigh x by the probability that a standard normal lies below it.

    x, y, dx, dy any shape    Φ, φ distribution and density of the standard normal

    exact     y = x Φ(x)                    Φ(x) = (1 + erf(x/√2)) / 2                         (1)
              dx = dy (Φ(x) + x φ(x))       φ(x) = exp(−x²/2) / √(2π)                          (2)

    tanh      y = x/2 (1 + tanh u)          u = √(2/π) (x + 0.044715 x³)                       (3)
              dx = dy/2 (1 + tanh u + x (1 − tanh² u) u')     u' = √(2/π) (1 + 0.134145 x²)    (4)

MambaVision uses (1) in its MLPs and (3) in its convolution blocks; they differ by up to 5e-4.
In u, x is taken no farther than ±100, where tanh u has long been ±1: its powers would overflow.

Hendrycks, Gimpel: Gaussian Error Linear Units, arXiv:1606.08415, section 2."""

import math

from ..backend import Array, array_module, erf
from ..core import Function
from ..errors import check_array, check_choice
from ..kernels import twin

SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
FAR = 100


@twin
def gelu_forward(x: Array) -> tuple[Array, Array]:
    """y of (1); the cache is x."""
    check_array("GELU", "x", x, (...,))
    return x * cdf(x), x  # (1)


@twin
def gelu_backward(dy: Array, x: Array) -> Array:
    """dx of (2): the product rule, with Φ' = φ."""
    check_array("GELU", "dy", dy, x.shape, x)
    return dy * (cdf(x) + x * pdf(x))  # (2)


def cdf(x: Array) -> Array:
    """Φ of (1)."""
    return (1 + erf(x / math.sqrt(2))) / 2


def pdf(x: Array) -> Array:
    """φ of (2)."""
    return array_module(x).exp(-x * x / 2) / math.sqrt(2 * math.pi)


@twin
def gelu_tanh_forward(x: Array) -> tuple[Array, Array]:
    """y of (3); the cache is x."""
    check_array("GELU", "x", x, (...,))
    return x / 2 * (1 + tanh_u(x)), x  # (3)


@twin
def gelu_tanh_backward(dy: Array, x: Array) -> Array:
    """dx of (4): the product rule, with tanh' = 1 − tanh²."""
    check_array("GELU", "dy", dy, x.shape, x)
    x = array_module(dy, x).clip(x, -FAR, FAR)
    tanh = tanh_u(x)
    du = SQRT_2_OVER_PI * (1 + 0.134145 * x * x)
    return dy / 2 * (1 + tanh + x * (1 - tanh * tanh) * du)  # (4)


def tanh_u(x: Array) -> Array:
    """tanh u of (3)."""
    xp = array_module(x)
    x = xp.clip(x, -FAR, FAR)
    return xp.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))  # x**3 is many times slower


class GELU(Function):
    """The Gaussian error linear unit. `approximate`: "none" for (1), "tanh" for (3)."""

    def __init__(self, approximate: str = "none") -> None:
        tanh = gelu_tanh_forward, gelu_tanh_backward
        pairs = {"none": (gelu_forward, gelu_backward), "tanh": tanh}
        check_choice("GELU approximation", approximate, pairs)
        self.approximate, self.pair = approximate, pairs[approximate]
