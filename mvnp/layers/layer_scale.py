"""Layer scale: a trainable factor for each channel, small at first, on a residual branch.

    x, y, dx, dy (..., C)    gamma γ (C,)

    forward     y = γ x                                 (1)
    backward    dx = γ dy        dγ = Σ dy x            (2)

The sum runs over all leading axes. Touvron et al.: Going deeper with Image Transformers,
arXiv:2103.17239, eq. 2."""

from ..backend import Array, array_module
from ..core import Function, Initializer, Param, sum_rows
from ..errors import check_array, check_arrays
from ..kernels import twin


@twin
def layer_scale_forward(x: Array, gamma: Array) -> tuple[Array, tuple]:
    """y of (1), and the cache for `layer_scale_backward`."""
    check_arrays("LayerScale", "", gamma=(gamma, "C"), x=(x, (..., "C")))
    array_module(x, gamma)
    return gamma * x, (x, gamma)  # (1)


@twin
def layer_scale_backward(dy: Array, cache: tuple) -> tuple[Array, Array]:
    """dx, dgamma of (2)."""
    x, gamma = cache
    check_array("LayerScale", "dy", dy, x.shape, x)
    return gamma * dy, sum_rows(dy * x)  # (2)


class LayerScale(Function):
    """A factor for each of `channels`, all starting at `value`."""

    pair, params = (layer_scale_forward, layer_scale_backward), ("gamma",)
    # The official key is the name that the layer has in its block (…gamma_1), nothing after it.
    key_of = {"gamma": ""}  # noqa: RUF012

    def __init__(self, channels: int, value: float, init: Initializer | None = None) -> None:
        self.gamma = Param((init or Initializer()).full((channels,), value))
