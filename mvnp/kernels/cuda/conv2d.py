"""The twins of the two copies of mvnp/layers/conv2d.py, to patches and back: see conv2d.cu. cuBLAS does the products."""

from __future__ import annotations

from ...backend import Array, array_module
from .launch import Kernels, contiguous

KERNELS = Kernels("conv2d")

Pair = tuple[int, int]


def patches(x: Array, kernel: Pair, stride: Pair, padding: Pair, rows: slice) -> Array:
    """As in mvnp/layers/conv2d.py."""
    x, (n, H, W, I), Ho = contiguous(x), x.shape, rows.stop - rows.start
    Wo = (W + 2 * padding[1] - kernel[1]) // stride[1] + 1
    X = array_module(x).empty((n * Ho * Wo, kernel[0] * kernel[1] * I), x.dtype)
    KERNELS.each("patches", X.size, x, X, H, W, I, Ho, Wo, *kernel, *stride, *padding, rows.start)
    return X


def collect(dX: Array, dpadded: Array, top: int, stride: Pair) -> None:
    """As in mvnp/layers/conv2d.py."""
    n, Ho, Wo, Kh, Kw, I = dX.shape
    height, (_, padded_height, width, _) = (Ho - 1) * stride[0] + Kh, dpadded.shape
    sizes = height, padded_height, width, I, Ho, Wo, Kh, Kw, *stride, top
    KERNELS.each("collect", n * height * width * I, contiguous(dX), dpadded, *sizes)
