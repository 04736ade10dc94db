"""The twins of mvnp/layers/cross_scan.py for all four routes: each number is read once and written once, where the book copies
maps on the way. A number in brackets is an equation of the layer.

Pixel (h, w) is token h W + w of route 0 and token w H + h of route 1; on the way back, routes 2 and 3, the last comes first.
The rows of all maps are counted through, and shared among the cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .operands import taken
from .rows import over_rows

ROUTES = (0, 1, 2, 3)
COST = 0.3  # nanoseconds for a number of four sequences, roughly


def cross_scan(x: Array, routes: Sequence[int] = ROUTES) -> Array:
    if not taken(x) or x.ndim != 4 or tuple(routes) != ROUTES:
        return NotImplemented
    B, H, W, C = x.shape
    s = np.empty((4, B, H * W, C), x.dtype)
    rows = (np.arange(B * H), np.ascontiguousarray(x).reshape(B * H, W, C))
    over_rows(_scan, rows, s, H, cost=4 * COST * W * C)
    return s


def cross_merge(y: Array, H: int, W: int, routes: Sequence[int] = ROUTES) -> Array:
    if not taken(y) or y.ndim != 4 or tuple(routes) != ROUTES or y.shape[::2] != (4, H * W):
        return NotImplemented
    _, B, _, C = y.shape
    x = np.empty((B, H, W, C), y.dtype)
    rows = (np.arange(B * H), x.reshape(B * H, W, C))
    over_rows(_merge, rows, np.ascontiguousarray(y), H, cost=4 * COST * W * C)
    return x


@kernel
def _scan(numbers: Any, x: Any, s: Any, H: int) -> None:
    _, W, C = x.shape
    last = H * W - 1
    for row in range(len(numbers)):
        b, h = numbers[row] // H, numbers[row] % H
        for w in range(W):
            t, u = h * W + w, w * H + h
            for c in range(C):
                v = x[row, w, c]
                s[0, b, t, c] = v  # (1)
                s[1, b, u, c] = v
                s[2, b, last - t, c] = v
                s[3, b, last - u, c] = v


@kernel
def _merge(numbers: Any, x: Any, y: Any, H: int) -> None:
    _, W, C = x.shape
    last = H * W - 1
    for row in range(len(numbers)):
        b, h = numbers[row] // H, numbers[row] % H
        for w in range(W):
            t, u = h * W + w, w * H + h
            for c in range(C):
                x[row, w, c] = y[0, b, t, c] + y[1, b, u, c] + y[2, b, last - t, c] + y[3, b, last - u, c]  # (2)
