"""The twin of mvnp/layers/depthwise_conv2d.py. What each thread does stands in depthwise_conv2d.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...core import Pair
from ...errors import check_array, check_arrays
from .launch import WARP, Kernels, accumulator_dtype, contiguous

WARPS = 4  # in a block, each with a row
MOST_TAPS = 49  # that a thread has sums of in its registers


def depthwise_conv2d_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """As in mvnp/layers/depthwise_conv2d.py."""
    kernel = (weight, ("D", 1, "Kh", "Kw"))
    check_arrays("DepthwiseConv2d", "bias", weight=kernel, x=(x, "BHWD"), bias=(bias, "D"))
    y = _taps(x, _by_tap(weight, x), bias, weight.shape[2:], _before(weight))
    return y, (x, weight, bias is not None)


def depthwise_conv2d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """As in mvnp/layers/depthwise_conv2d.py."""
    x, weight, has_bias = cache
    check_array("DepthwiseConv2d", "dy", dy, x.shape, x)
    (B, H, W, D), (Kh, Kw), (p, q) = x.shape, weight.shape[2:], _before(weight)
    if Kh * Kw > MOST_TAPS:
        return NotImplemented
    xp, dy, x = array_module(dy, x), contiguous(dy, x.dtype), contiguous(x)
    dx = _taps(dy, _by_tap(weight, x)[::-1], None, (Kh, Kw), (Kh - 1 - p, Kw - 1 - q))
    sums = xp.empty((B * H, Kh * Kw + 1, D), accumulator_dtype(x.dtype))
    grid = (-(-B * H // WARPS), -(-D // WARP))
    _kernels(Kh, Kw).launch("depthwise_conv2d_weight", grid, (WARP, WARPS), dy, x, sums, B * H, H, W, D, p, q)
    total = sums.sum(axis=0)
    return dx, total[:-1].T.reshape(weight.shape), total[-1] if has_bias else None


def _taps(x: Array, weight: Array, bias: Array | None, kernel: Pair, before: Pair) -> Array:
    """What the taps make of each pixel, of which the first looks `before` rows up and columns to the left."""
    (_, H, W, D), real, xp = x.shape, accumulator_dtype(x.dtype), array_module(x, weight, bias)
    offset = xp.zeros(D, real) if bias is None else contiguous(bias, real)
    x, y = contiguous(x), xp.empty(x.shape, x.dtype)
    _kernels(*kernel).each("depthwise_conv2d_taps", y.size, x, contiguous(weight, real), offset, y, H, W, D, *before)
    return y


def _kernels(Kh: int, Kw: int) -> Kernels:
    return Kernels("depthwise_conv2d", HIGH=Kh, WIDE=Kw)


def _before(weight: Array) -> Pair:
    """(p, q): the rows of zeros above the map, and the columns on its left."""
    Kh, Kw = weight.shape[2:]
    return (Kh - 1) // 2, (Kw - 1) // 2


def _by_tap(weight: Array, x: Array) -> Array:
    """The weights (Kh·Kw, D), as numbers for arithmetic."""
    return contiguous(weight.reshape(weight.shape[0], -1).T, accumulator_dtype(x.dtype))
