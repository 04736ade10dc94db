"""The twin of mvnp/layers/layernorm.py. What each thread does stands in layernorm.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...errors import check_array, check_arrays
from .columns import add_chunks
from .launch import WARP, Kernels, accumulator_dtype, contiguous

KERNELS = Kernels("layernorm")
WARPS = 4  # in a block, each with a row
GROUP = 8  # rows that a block sums side by side, as in layernorm.cu
PARTS = 64  # at most so many sums for each channel, side by side


def layernorm_forward(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> tuple[Array, tuple]:
    """As in mvnp/layers/layernorm.py. In float16 the mean and rstd of the cache are float32."""
    check_arrays("LayerNorm", weight=(weight, "C"), x=(x, (..., "C")), bias=(bias, "C"))
    xp, A = array_module(x, weight, bias), accumulator_dtype(x.dtype)
    x = contiguous(x)
    rows, C = x.size // weight.size, weight.size
    y, (mean, rstd) = xp.empty_like(x), xp.empty((2, *x.shape[:-1], 1), A)
    parameters = contiguous(weight, A), contiguous(bias, A)
    KERNELS.launch("layernorm_forward", -(-rows // WARPS), WARPS * WARP, x, *parameters, y, mean, rstd, rows, C, float(eps))
    return y, (x, weight, mean, rstd)


def layernorm_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:
    """As in mvnp/layers/layernorm.py."""
    x, weight, mean, rstd = cache
    check_array("LayerNorm", "dy", dy, x.shape, x)
    xp, A = array_module(dy, x), accumulator_dtype(x.dtype)
    dy, x, mean, rstd = contiguous(dy, x.dtype), contiguous(x), contiguous(mean, A), contiguous(rstd, A)
    rows, C = x.size // weight.size, weight.size
    dx = xp.empty_like(x)
    gain = contiguous(weight, A)
    KERNELS.launch("layernorm_backward", -(-rows // WARPS), WARPS * WARP, dy, x, gain, mean, rstd, dx, rows, C)

    parts = min(-(-rows // GROUP), PARTS)
    sums = xp.empty((2, parts, C), A)
    grid, block = (-(-C // WARP), parts), (WARP, GROUP)
    KERNELS.launch("layernorm_parameters", grid, block, dy, x, mean, rstd, sums[0], sums[1], rows, C)
    dweight, dbias = add_chunks(sums, weight.dtype)
    return dx, dweight, dbias
