"""The twin of mvnp/layers/depthwise_conv2d.py: all taps of a pixel while its numbers are in the cache. A number
in brackets is an equation of the layer.

The rows of all maps are counted through, and shared among the cores. A tap looks at other rows than the pixel's, so that each
core has the whole x, and the numbers of its rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from ...core import Pair
from .jit import inline, kernel
from .operands import taken, total
from .rows import BLOCK, blocks_of, over_rows

COST = 0.15  # nanoseconds for one tap of a number, roughly


def depthwise_conv2d_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    if not _fit(x, weight, bias):
        return NotImplemented
    Kh, Kw = weight.shape[2:]
    offset = np.zeros(len(weight), x.dtype) if bias is None else np.ascontiguousarray(bias)
    y = _convolved(x, _by_tap(weight), offset, ((Kh - 1) // 2, (Kw - 1) // 2))  # (1)
    return y, (x, weight, bias is not None)


def depthwise_conv2d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    x, weight, has_bias = cache
    if not _fit(x, weight, None) or not taken(dy, x) or dy.shape != x.shape:
        return NotImplemented
    (B, H, W, D), (Kh, Kw) = x.shape, weight.shape[2:]
    p, q = (Kh - 1) // 2, (Kw - 1) // 2
    w, nothing = _by_tap(weight), np.zeros(D, x.dtype)
    dx = _convolved(dy, np.ascontiguousarray(w[::-1, ::-1]), nothing, (Kh - 1 - p, Kw - 1 - q))  # (2)
    sums = np.zeros((B * H, blocks_of(W), Kh * Kw + 1, D), x.dtype)  # of BLOCK pixels of a row each
    rows = (np.arange(B * H), np.ascontiguousarray(dy).reshape(B * H, W, D), sums)
    over_rows(_of_taps, rows, np.ascontiguousarray(x), Kh, Kw, p, q, cost=COST * Kh * Kw * W * D)
    sums = total(sums.reshape(-1, *sums.shape[2:]))
    return dx, sums[:-1].T.reshape(weight.shape), sums[-1] if has_bias else None


def _fit(x: Array, weight: Array, bias: Array | None) -> bool:
    """Whether kernels can take them."""
    arrays = (x, weight) if bias is None else (x, weight, bias)
    if not taken(*arrays) or x.ndim != 4 or weight.ndim != 4 or weight.shape[:2] != (x.shape[3], 1):
        return False
    return bias is None or bias.shape == x.shape[3:]


def _by_tap(weight: Array) -> Array:
    """The taps (Kh, Kw, D)."""
    return np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))


def _convolved(x: Array, w: Array, offset: Array, before: Pair) -> Array:
    """Each pixel's taps, of which (0, 0) looks `before` rows up and columns to the left, and the offset."""
    (B, H, W, D), (Kh, Kw, _) = x.shape, w.shape
    y = np.empty(x.shape, x.dtype)
    rows = (np.arange(B * H), y.reshape(B * H, W, D))
    over_rows(_taps, rows, np.ascontiguousarray(x), w, offset, *before, cost=COST * Kh * Kw * W * D)
    return y


@inline
def three_at_once(Kw, left, W):  # type: ignore[no-untyped-def]
    """Whether a row has three taps, from `left` on, of pixels that there are: y is read and written once for them."""
    return Kw == 3 and left >= 0 and left + 3 <= W


@kernel
def _taps(numbers: Any, y: Any, x: Any, weight: Any, offset: Any, p: int, q: int) -> None:
    _, H, W, D = x.shape
    Kh, Kw, _ = weight.shape
    for row in range(len(numbers)):
        b, h = numbers[row] // H, numbers[row] % H
        for w in range(W):
            v = y[row, w]
            for d in range(D):
                v[d] = offset[d]
            for i in range(max(0, p - h), min(Kh, H + p - h)):
                above, left = h + i - p, w - q
                if three_at_once(Kw, left, W):
                    for d in range(D):
                        three = weight[i, 0, d] * x[b, above, left, d] + weight[i, 1, d] * x[b, above, left + 1, d]
                        v[d] += three + weight[i, 2, d] * x[b, above, left + 2, d]
                else:
                    for j in range(max(0, -left), min(Kw, W - left)):
                        for d in range(D):
                            v[d] += weight[i, j, d] * x[b, above, left + j, d]


@kernel
def _of_taps(numbers: Any, dy: Any, sums: Any, x: Any, Kh: int, Kw: int, p: int, q: int) -> None:
    _, H, W, D = x.shape
    for row in range(len(numbers)):
        b, h = numbers[row] // H, numbers[row] % H
        for w in range(W):
            to = sums[row, w // BLOCK]
            for i in range(max(0, p - h), min(Kh, H + p - h)):
                for j in range(max(0, q - w), min(Kw, W + q - w)):
                    for d in range(D):
                        to[i * Kw + j, d] += dy[row, w, d] * x[b, h + i - p, w + j - q, d]  # (3)
            for d in range(D):
                to[Kh * Kw, d] += dy[row, w, d]
