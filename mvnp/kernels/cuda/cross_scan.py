"""The twins of mvnp/layers/cross_scan.py for all four routes. What each thread does stands in cross_scan.cu."""

from __future__ import annotations

from collections.abc import Sequence

from ...backend import Array, array_module
from .launch import Kernels, contiguous

KERNELS = Kernels("cross_scan")
ROUTES = (0, 1, 2, 3)


def cross_scan(x: Array, routes: Sequence[int] = ROUTES) -> Array:
    """As in mvnp/layers/cross_scan.py."""
    if x.ndim != 4 or tuple(routes) != ROUTES:
        return NotImplemented
    B, H, W, C = x.shape
    s = array_module(x).empty((4, B, H * W, C), x.dtype)
    KERNELS.each("cross_scan", x.size, contiguous(x), s, B, H, W, C)
    return s


def cross_merge(y: Array, H: int, W: int, routes: Sequence[int] = ROUTES) -> Array:
    """As in mvnp/layers/cross_scan.py."""
    if y.ndim != 4 or tuple(routes) != ROUTES or y.shape[::2] != (4, H * W):
        return NotImplemented
    _, B, _, C = y.shape
    x = array_module(y).empty((B, H, W, C), y.dtype)
    KERNELS.each("cross_merge", x.size, contiguous(y), x, B, H, W, C)
    return x
