"""LayerNorm: standardise each channel vector, then scale and shift.

    x, y, dx, dy (..., C)    weight γ, bias β (C,)    mean μ, rstd r (..., 1)

    forward     x̂ = (x − μ) r        r = (σ² + ε)^(−1/2)        y = γ x̂ + β         (1)
    backward    g = γ dy             dx = r (g − ⟨g⟩ − x̂ ⟨g x̂⟩)                     (2)
                dγ = Σ dy x̂          dβ = Σ dy                                       (3)

⟨·⟩ is the mean over the channels, σ² the biased variance; (3) sums over all leading axes.

Ba, Kiros, Hinton: Layer Normalization, arXiv:1607.06450, eq. 4."""

from ..backend import Array, array_module
from ..core import Function, Initializer, Param, sum_rows
from ..errors import check_array, check_arrays
from ..kernels import twin


@twin
def layernorm_forward(x: Array, weight: Array, bias: Array,
                      eps: float = 1e-5) -> tuple[Array, tuple]:  # fmt: skip
    """y of (1), and the cache for `layernorm_backward`. Raises InputError unless x ends in C."""
    check_arrays("LayerNorm", "", weight=(weight, "C"), bias=(bias, "C"), x=(x, (..., "C")))
    xp = array_module(x, weight, bias)
    # A mean may be off in the last digit. Taken of differences, that of equal numbers is exact:
    # a constant row becomes the bias, whatever its size.
    mean = x[..., :1] + row_mean(x - x[..., :1])
    rstd = 1 / xp.sqrt(row_mean((x - mean) ** 2) + eps)
    x_hat = (x - mean) * rstd
    return weight * x_hat + bias, (x, weight, mean, rstd)  # (1)


@twin
def layernorm_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias of (2) and (3)."""
    x, weight, mean, rstd = cache
    check_array("LayerNorm", "dy", dy, x.shape, x)
    array_module(dy, x)
    # x̂ depends on x_j directly, through μ and through r, with ∂μ/∂x_j = 1/C and
    # ∂r/∂x_j = −r² x̂_j / C:  ∂x̂_i/∂x_j = r (δ_ij − 1/C − x̂_i x̂_j / C). Summed against g_i, (2).
    x_hat = (x - mean) * rstd
    g = weight * dy
    dx = rstd * (g - row_mean(g) - x_hat * row_mean(g * x_hat))  # (2)
    return dx, sum_rows(dy * x_hat), sum_rows(dy)  # (3)


def row_mean(rows: Array) -> Array:
    """⟨·⟩ of each row (..., C), as (..., 1)."""
    return rows.mean(axis=-1, keepdims=True)


class LayerNorm(Function):
    """Layer normalisation over the last axis, of size `channels`."""

    pair, params, options = (layernorm_forward, layernorm_backward), ("weight", "bias"), ("eps",)

    def __init__(self, channels: int, eps: float = 1e-5, init: Initializer | None = None) -> None:
        init = init or Initializer()
        self.weight = Param(init.full((channels,), 1.0))
        self.bias = Param(init.full((channels,), 0.0))
        self.eps = eps
