"""RMSNorm: divide each channel vector by its root mean square, then scale.

    x, y, dx, dy (..., C)    weight γ (C,)    rstd r (..., 1)

    forward     x̂ = x r        r = (⟨x²⟩ + ε)^(−1/2)        y = γ x̂               (1)
    backward    g = γ dy       dx = r (g − x̂ ⟨g x̂⟩)                               (2)
                dγ = Σ dy x̂                                                       (3)

⟨·⟩ is the mean over the channels; (3) sums over all leading axes. It is LayerNorm (layernorm.py)
without the mean that is taken off: so (2) lacks the term ⟨g⟩, and there is no β.

Zhang, Sennrich: Root Mean Square Layer Normalization, arXiv:1910.07467, eq. 4."""

from ..backend import Array, array_module
from ..core import Function, Initializer, Param, sum_rows
from ..errors import check_array, check_arrays
from ..kernels import twin
from .layernorm import row_mean


@twin
def rmsnorm_forward(x: Array, weight: Array, eps: float = 1e-5) -> tuple[Array, tuple]:
    """y of (1), and the cache for `rmsnorm_backward`. Raises InputError unless x ends in C."""
    check_arrays("RMSNorm", "", weight=(weight, "C"), x=(x, (..., "C")))
    xp = array_module(x, weight)
    rstd = 1 / xp.sqrt(row_mean(x**2) + eps)
    x_hat = x * rstd
    return weight * x_hat, (x, weight, rstd)  # (1)


@twin
def rmsnorm_backward(dy: Array, cache: tuple) -> tuple[Array, Array]:
    """dx, dweight of (2) and (3)."""
    x, weight, rstd = cache
    check_array("RMSNorm", "dy", dy, x.shape, x)
    array_module(dy, x)
    # x̂ depends on x_j directly and through r, with ∂r/∂x_j = −r² x̂_j / C:
    # ∂x̂_i/∂x_j = r (δ_ij − x̂_i x̂_j / C). Summed against g_i, that is (2).
    x_hat = x * rstd
    g = weight * dy
    dx = rstd * (g - x_hat * row_mean(g * x_hat))  # (2)
    return dx, sum_rows(dy * x_hat)  # (3)


class RMSNorm(Function):
    """RMS normalisation over the last axis, of size `channels`."""

    pair, params, options = (rmsnorm_forward, rmsnorm_backward), ("weight",), ("eps",)

    def __init__(self, channels: int, eps: float = 1e-5, init: Initializer | None = None) -> None:
        self.weight = Param((init or Initializer()).full((channels,), 1.0))
        self.eps = eps
