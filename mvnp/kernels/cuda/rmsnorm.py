"""The twin of mvnp/layers/rmsnorm.py. What each thread does stands in rmsnorm.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...errors import check_array
from .columns import add_chunks
from .launch import WARP, Kernels, accumulator_dtype, contiguous

KERNELS = Kernels("rmsnorm")
WARPS = 4  # in a block, each with a row
GROUP = 8  # rows that a block sums side by side, as in rmsnorm.cu
PARTS = 64  # at most so many sums for each channel, side by side


def rmsnorm_forward(x: Array, weight: Array, eps: float = 1e-5) -> tuple[Array, tuple]:
    """As in mvnp/layers/rmsnorm.py. In float16 the rstd of the cache is float32."""
    check_array("RMSNorm", "x", x, (..., weight.shape[0]))
    xp, A = array_module(x, weight), accumulator_dtype(x.dtype)
    x = contiguous(x)
    rows, C = x.size // weight.size, weight.size
    y, rstd = xp.empty_like(x), xp.empty((*x.shape[:-1], 1), A)
    KERNELS.launch("rmsnorm_forward", -(-rows // WARPS), WARPS * WARP, x, contiguous(weight, A), y, rstd, rows, C, float(eps))
    return y, (x, weight, rstd)


def rmsnorm_backward(dy: Array, cache: tuple) -> tuple[Array, Array]:
    """As in mvnp/layers/rmsnorm.py."""
    x, weight, rstd = cache
    xp, A = array_module(dy, x), accumulator_dtype(x.dtype)
    dy, x, rstd = contiguous(dy, x.dtype), contiguous(x), contiguous(rstd, A)
    rows, C = x.size // weight.size, weight.size
    dx = xp.empty_like(x)
    KERNELS.launch("rmsnorm_backward", -(-rows // WARPS), WARPS * WARP, dy, x, contiguous(weight, A), rstd, dx, rows, C)

    parts = min(-(-rows // GROUP), PARTS)
    sums = xp.empty((1, parts, C), A)
    KERNELS.launch("rmsnorm_weight", (-(-C // WARP), parts), (WARP, GROUP), dy, x, rstd, sums, rows, C)
    return dx, add_chunks(sums, weight.dtype)[0]
