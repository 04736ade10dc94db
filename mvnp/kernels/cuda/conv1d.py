"""The twins of mvnp/layers/conv1d.py: the convolution alone, and with the SiLU behind it. What each thread does stands in
conv1d.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...errors import check_array
from .launch import WARP, Kernels, Rows, accumulator_dtype, contiguous, rows_of

WARPS = 4  # in a block
WALK = 32  # tokens that a thread goes along, as in conv1d.cu


def conv1d_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """As in mvnp/layers/conv1d.py."""
    return _forward(x, weight, bias, silu=False), (x, weight, bias is not None)


def conv1d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """As in mvnp/layers/conv1d.py."""
    x, weight, has_bias = cache
    dx, dweight, dbias = _backward(dy, x, weight, None, silu=False)
    return dx, dweight, dbias if has_bias else None


def conv1d_silu_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """As in mvnp/layers/conv1d.py. The backward makes v again from numbers that it has at hand."""
    return _forward(x, weight, bias, silu=True), (x, weight, bias)


def conv1d_silu_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """As in mvnp/layers/conv1d.py."""
    x, weight, bias = cache
    dx, dweight, dbias = _backward(dy, x, weight, bias, silu=True)
    return dx, dweight, None if bias is None else dbias


def _forward(x: Array, weight: Array, bias: Array | None, silu: bool) -> Array:
    check_array("Conv1d", "x", x, ("B", "L", weight.shape[0]))
    kernels, rows, parameters, grid = _prepared(x, weight, bias)
    y = array_module(x).empty(x.shape, x.dtype)
    kernels.launch("conv1d_forward", grid, (WARP, WARPS), rows, *parameters, y, *x.shape, silu)
    return y


def _backward(dy: Array, x: Array, weight: Array, bias: Array | None, silu: bool) -> tuple[Array, Array, Array]:
    kernels, rows, parameters, grid = _prepared(x, weight, bias)
    (B, L, D), K, xp = x.shape, weight.shape[2], array_module(dy, x)
    dx, sums = xp.empty(x.shape, x.dtype), xp.empty((B * -(-L // WALK), K + 1, D), parameters[0].dtype)
    arguments = (rows_of(dy, x.dtype), rows, *parameters, dx, sums, B, L, D, silu)
    kernels.launch("conv1d_backward", grid, (WARP, WARPS), *arguments)
    total = sums.sum(axis=0)
    return dx, total[:K].T[:, None], total[K]


def _prepared(x: Array, weight: Array, bias: Array | None) -> tuple[Kernels, Rows, tuple[Array, Array], tuple[int, int]]:
    """The kernels for so many taps, x, weight and bias as they take them, and the grid."""
    (B, L, D), real, xp = x.shape, accumulator_dtype(x.dtype), array_module(x, weight, bias)
    parameters = contiguous(weight, real), xp.zeros(D, real) if bias is None else contiguous(bias, real)
    grid = (-(-B * -(-L // WALK) // WARPS), -(-D // WARP))
    return Kernels("conv1d", TAPS=weight.shape[2]), rows_of(x, x.dtype), parameters, grid
