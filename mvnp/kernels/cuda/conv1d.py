"""The twins of mvnp/layers/conv1d.py: the convolution alone, and with the SiLU behind it. What each thread does stands in
conv1d.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...errors import check_array, check_arrays
from .columns import add_chunks
from .launch import WARP, Kernels, Rows, accumulator_dtype, contiguous, rows_of

WARPS = 4  # in a block
WALK = 32  # tokens that a thread goes along, as in conv1d.cu


def conv1d_forward(
    x: Array, weight: Array, bias: Array | None = None, silu: bool = False, causal: bool = False
) -> tuple[Array, tuple]:
    """As in mvnp/layers/conv1d.py."""
    check_arrays("Conv1d", weight=(weight, ("D", 1, "K")), x=(x, "BLD"), bias=(bias, "D"))
    kernels, rows, parameters, grid = _prepared(x, weight, bias, causal)
    y = array_module(x).empty(x.shape, x.dtype)
    kernels.launch("conv1d_forward", grid, (WARP, WARPS), rows, *parameters, y, *x.shape, bool(silu), bias is not None)
    return y, (x, weight, bias, silu, causal)


def conv1d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """As in mvnp/layers/conv1d.py. v is made again from numbers that are at hand."""
    x, weight, bias, silu, causal = cache
    check_array("Conv1d", "dy", dy, x.shape, x)
    kernels, rows, parameters, grid = _prepared(x, weight, bias, causal)
    (B, L, D), K, xp = x.shape, weight.shape[2], array_module(dy, x)
    dx, sums = xp.empty(x.shape, x.dtype), xp.empty((B * -(-L // WALK), K + 1, D), parameters[0].dtype)
    arguments = (rows_of(dy, x.dtype), rows, *parameters, dx, sums, B, L, D, bool(silu), bias is not None)
    kernels.launch("conv1d_backward", grid, (WARP, WARPS), *arguments)
    total = add_chunks(sums.reshape(1, -1, (K + 1) * D), sums.dtype).reshape(K + 1, D)
    return dx, total[:K].T[:, None], None if bias is None else total[K]


def _prepared(
    x: Array, weight: Array, bias: Array | None, causal: bool
) -> tuple[Kernels, Rows, tuple[Array, Array], tuple[int, int]]:
    """The kernels for so many taps that look so far back, x, weight and bias as they take them, and the grid."""
    (B, L, D), real = x.shape, accumulator_dtype(x.dtype)
    array_module(x, weight, bias)
    w = contiguous(weight, real)
    parameters = w, w if bias is None else contiguous(bias, real)  # of one that is not there nothing is read
    grid = (-(-B * -(-L // WALK) // WARPS), -(-D // WARP))
    K = weight.shape[2]
    kernels = Kernels("conv1d", TAPS=K, BEHIND=K - 1) if causal else Kernels("conv1d", TAPS=K)
    return kernels, rows_of(x, x.dtype), parameters, grid
