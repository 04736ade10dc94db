"""LayerNorm: standardise each channel vector, then scale and shift.

    x, y, dx, dy (..., C)    weight γ, bias β (C,)    mean μ, rstd r (..., 1)

    forward     x̂ = (x − μ) r        r = (σ² + ε)^(−1/2)        y = γ x̂ + β         (1)
    backward    g = γ dy             dx = r (g − ⟨g⟩ − x̂ ⟨g x̂⟩)                     (2)
                dγ = Σ dy x̂          dβ = Σ dy                                       (3)

⟨·⟩ is the mean over the channels, σ² the biased variance; the sums in (3) run over all leading axes. A weight of several
axes normalises over that many trailing axes together.

Ba, Kiros, Hinton: Layer Normalization, arXiv:1607.06450, eq. 4.
"""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape
from ..errors import check_array
from ..execution.blockwise import blockwise, column_sums
from ..kernels import twin


@twin
def layernorm_forward(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> tuple[Array, tuple]:
    """y of (1), and the cache for `layernorm_backward`. Raises InputError unless x ends in the axes of `weight`."""
    check_array("LayerNorm", "x", x, (..., *weight.shape))
    xp = array_module(x, weight, bias)
    gain, shift, C = weight.reshape(-1), bias.reshape(-1), weight.size
    average = xp.full((C, 1), 1.0 / C, x.dtype)  # ⟨·⟩ over the channels, as a product with a column

    def standardise(rows: Array) -> tuple[Array, Array, Array]:
        mean = rows @ average
        y = rows - mean
        rstd = 1.0 / xp.sqrt((y * y) @ average + eps)
        y *= rstd
        y *= gain
        y += shift
        return y, mean, rstd

    y, mean, rstd = blockwise(standardise, x.reshape(-1, C))
    return y.reshape(x.shape), (x, weight, mean, rstd)


@twin
def layernorm_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """dx, dweight, dbias of (2) and (3)."""
    x, weight, mean, rstd = cache
    xp = array_module(x)
    gain, C = weight.reshape(-1), weight.size
    average = xp.full((C, 1), 1.0 / C, x.dtype)
    sums: list[tuple[Array, Array]] = []

    def backward(dy: Array, x: Array, mean: Array, rstd: Array) -> Array:
        normalised = x - mean
        normalised *= rstd
        sums.append((column_sums(dy * normalised), column_sums(dy)))
        # x̂ depends on x_j directly, through μ and through r:  ∂x̂_i/∂x_j = r (δ_ij − 1/C − x̂_i x̂_j / C), since
        # ∂μ/∂x_j = 1/C and ∂r/∂x_j = −r² x̂_j / C. Summed against g over i this is (2): g loses its mean and its part along x̂.
        g = dy * gain
        normalised *= (g * normalised) @ average
        normalised += g @ average
        g -= normalised
        g *= rstd
        return g

    dx = blockwise(backward, dy.reshape(-1, C), x.reshape(-1, C), mean, rstd)
    dweight, dbias = (sum(parts).reshape(weight.shape) for parts in zip(*sums, strict=True))
    return dx.reshape(x.shape), dweight, dbias


class LayerNorm(Layer):
    """Layer normalisation over the last axis, of size `channels`."""

    def __init__(self, channels: int, eps: float = 1e-5, init: Initializer | None = None) -> None:
        init = init or Initializer()
        self.weight = Param(init.full((channels,), 1.0))
        self.bias = Param(init.full((channels,), 0.0))
        self.eps = eps

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.record(tape, layernorm_forward(x, self.weight.data, self.bias.data, self.eps))

    def backward(self, dy: Array, tape: Tape) -> Array:
        dx, dweight, dbias = layernorm_backward(dy, tape.pop(self))
        tape.accumulate(self.weight, dweight)
        tape.accumulate(self.bias, dbias)
        return dx
