"""The twin of mvnp/layers/winograd.py: the transforms in one dimension after the other, some tiles at a time, so that V and Y
stay in the cache between the transforms and the products. Padding is read as zeros, what hangs over is not written, and the bias
is added on the way.

The letters are those of the page. d Tᵀ takes a row of six numbers to six others, T d a column, and so both are one function of
six numbers, `_times_T`; its 36 products are 16 by 1, since T has many zeros and its points come in pairs ±p.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Array
from ...execution.workspace import workspace
from ...layers.winograd import PATCH, TAPS, TILE, matrices, winograd_size
from .jit import inline, kernel
from .mathematics import type_of

CHANNELS = 96  # that a tile is transformed with at a time: 36 rows of them stay in a core's first-level cache
BLOCK_BYTES = 2 << 20  # of V in memory at once
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))

Pair = tuple[int, int]


def winograd_forward(
    x: Array, weight: Array, bias: Array | None = None, padding: Pair = (1, 1)
) -> tuple[Array, tuple]:
    """As in mvnp/layers/winograd.py."""
    cache = x, weight, bias is not None, padding
    if not _takes(x, weight) or (bias is not None and (bias.dtype != x.dtype or bias.shape != weight.shape[:1])):
        return NotImplemented
    size = winograd_size(x.shape, weight.shape, padding)
    O, I = weight.shape[:2]
    y = np.empty(size, x.dtype)
    offset = np.zeros(O, x.dtype) if bias is None else np.ascontiguousarray(bias)
    _convolve(np.ascontiguousarray(x), _transformed_kernel(weight), offset, y, padding)
    return y, cache


def winograd_backward(dy: Array, cache: tuple, inputs: bool = True) -> tuple[Array | None, Array, Array | None]:
    """As in mvnp/layers/winograd.py."""
    x, weight, has_bias, padding = cache
    if not _takes(x, weight) or dy.dtype != x.dtype or dy.shape != winograd_size(x.shape, weight.shape, padding):
        return NotImplemented
    O, I = weight.shape[:2]
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    dU = workspace(np, "winograd.dU", (PATCH**2, O, I), x.dtype)
    once_more = workspace(np, "winograd.dU of a block", dU.shape, x.dtype)
    sums = np.zeros(O, np.float64)
    tmp = _scratch(x.dtype)
    for first, count in _blocks(dy, max(I, O)):
        V = workspace(np, "winograd.V", (PATCH**2, count, I), x.dtype)
        dY = workspace(np, "winograd.Y", (PATCH**2, count, O), x.dtype)
        _transform_patches(x, V, tmp, first, _tiles(dy), *padding)
        _transform_gradients(dy, dY, tmp, sums, first)
        np.matmul(dY.swapaxes(1, 2), V, out=dU if first == 0 else once_more)
        if first:
            dU += once_more
    _, G, _ = _squares(x.dtype)
    dweight = (dU.reshape(PATCH**2, -1).T @ G).reshape(O, I, TAPS, TAPS)
    dx = None
    if inputs:
        dx = np.empty(x.shape, x.dtype)
        turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
        around = (TAPS - 1 - padding[0], TAPS - 1 - padding[1])
        _convolve(dy, _transformed_kernel(turned), np.zeros(I, x.dtype), dx, around)
    return dx, dweight, sums.astype(x.dtype) if has_bias else None


def _takes(x: Array, weight: Array) -> bool:
    fits = x.ndim == 4 and weight.ndim == 4 and weight.shape[2:] == (TAPS, TAPS) and x.shape[3] == weight.shape[1]
    return fits and x.dtype in DTYPES and weight.dtype == x.dtype and x.size > 0 and weight.size > 0


def _convolve(x: Array, U: Array, bias: Array, y: Array, padding: Pair) -> None:
    """(1) for all tiles, block by block; U (36, O, I)."""
    tmp = _scratch(x.dtype)
    for first, count in _blocks(y, max(U.shape[1:])):
        V = workspace(np, "winograd.V", (PATCH**2, count, x.shape[3]), x.dtype)
        Y = workspace(np, "winograd.Y", (PATCH**2, count, y.shape[3]), x.dtype)
        _transform_patches(x, V, tmp, first, _tiles(y), *padding)
        np.matmul(V, U.swapaxes(1, 2), out=Y)
        _transform_products(Y, bias, y, tmp, first)


def _transformed_kernel(weight: Array) -> Array:
    """U of (2), but as (36, O, I): so the kernel is read as it stands in memory."""
    _, G, _ = _squares(weight.dtype)
    O, I = weight.shape[:2]
    U = workspace(np, "winograd.U", (PATCH**2, O * I), weight.dtype)
    return np.matmul(G, weight.reshape(O * I, TAPS**2).T, out=U).reshape(PATCH**2, O, I)


def _squares(dtype: Any) -> list[Array]:
    return [np.kron(matrix, matrix).astype(dtype) for matrix in matrices()]


def _tiles(y: Array) -> Pair:
    """How many rows and columns of tiles a map has."""
    return -(-y.shape[1] // TILE), -(-y.shape[2] // TILE)


def _blocks(y: Array, channels: int) -> list[Pair]:
    """The first tile, and the number of tiles, of blocks whose V stays within BLOCK_BYTES."""
    total = len(y) * math.prod(_tiles(y))
    most = max(1, BLOCK_BYTES // (PATCH**2 * channels * y.dtype.itemsize))
    number = -(-total // most)
    edges = [total * block // number for block in range(number + 1)]
    return [(edges[i], edges[i + 1] - edges[i]) for i in range(number)]


def _scratch(dtype: Any) -> Array:
    return workspace(np, "winograd.tile", (PATCH**2 * CHANNELS,), dtype)


@inline
def _times_T(d0, d1, d2, d3, d4, d5):  # type: ignore[no-untyped-def]
    """T d for six numbers, with the points 0, ±3/4, ±3/2, ∞ of mvnp/layers/winograd.py."""
    T = type_of(d0)
    even, odd = d4 - T(2.25) * d2, T(0.75) * d3 - T(1.6875) * d1
    further, wide = d4 - T(0.5625) * d2, T(1.5) * d3 - T(0.84375) * d1
    return (
        T(1.265625) * d0 - T(2.8125) * d2 + d4,
        even + odd,
        even - odd,
        further + wide,
        further - wide,
        T(1.265625) * d1 - T(2.8125) * d3 + d5,
    )


@inline
def _times_A_transposed(m0, m1, m2, m3, m4, m5):  # type: ignore[no-untyped-def]
    """Aᵀ m for six numbers."""
    T = type_of(m0)
    s, t, u, v = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return (
        m0 + s + u,
        T(0.75) * t + T(1.5) * v,
        T(0.5625) * s + T(2.25) * u,
        T(0.421875) * t + T(3.375) * v + m5,
    )


@inline
def _times_A(a, b, c, d):  # type: ignore[no-untyped-def]
    """A a for four numbers."""
    T = type_of(a)
    even, odd = a + T(0.5625) * c, T(0.75) * b + T(0.421875) * d
    further, wide = a + T(2.25) * c, T(1.5) * b + T(3.375) * d
    return a, even + odd, even - odd, further + wide, further - wide, d


@kernel
def _transform_patches(x, V, tmp, first, tiles, ph, pw):  # type: ignore[no-untyped-def]
    """V = T d Tᵀ of (1) for the tiles from `first` on: (36, tiles, I)."""
    _, H, W, I = x.shape
    zero = type_of(tmp[0])(0)
    rows, columns = tiles
    for tile in range(V.shape[1]):
        n = (first + tile) // (rows * columns)
        rest = (first + tile) - n * (rows * columns)
        top, left = rest // columns * 4 - ph, rest % columns * 4 - pw
        for start in range(0, I, CHANNELS):
            channels = min(CHANNELS, I - start)
            for i in range(6):
                h = top + i
                row = i * 6 * CHANNELS
                if 0 <= h < H and left >= 0 and left + 6 <= W:
                    for c in range(channels):
                        q0, q1, q2, q3, q4, q5 = _times_T(
                            x[n, h, left, start + c],
                            x[n, h, left + 1, start + c],
                            x[n, h, left + 2, start + c],
                            x[n, h, left + 3, start + c],
                            x[n, h, left + 4, start + c],
                            x[n, h, left + 5, start + c],
                        )
                        tmp[row + c] = q0
                        tmp[row + CHANNELS + c] = q1
                        tmp[row + 2 * CHANNELS + c] = q2
                        tmp[row + 3 * CHANNELS + c] = q3
                        tmp[row + 4 * CHANNELS + c] = q4
                        tmp[row + 5 * CHANNELS + c] = q5
                else:
                    for j in range(6):
                        w = left + j
                        if 0 <= h < H and 0 <= w < W:
                            for c in range(channels):
                                tmp[row + j * CHANNELS + c] = x[n, h, w, start + c]
                        else:
                            for c in range(channels):
                                tmp[row + j * CHANNELS + c] = zero
                    for c in range(channels):
                        _in_place(tmp, row + c, CHANNELS)
            for j in range(6):
                for c in range(channels):
                    _in_place(tmp, j * CHANNELS + c, 6 * CHANNELS)
            for k in range(36):
                for c in range(channels):
                    V[k, tile, start + c] = tmp[k * CHANNELS + c]


@inline
def _in_place(tmp, at, step):  # type: ignore[no-untyped-def]
    q0, q1, q2, q3, q4, q5 = _times_T(
        tmp[at], tmp[at + step], tmp[at + 2 * step], tmp[at + 3 * step], tmp[at + 4 * step], tmp[at + 5 * step]
    )
    tmp[at] = q0
    tmp[at + step] = q1
    tmp[at + 2 * step] = q2
    tmp[at + 3 * step] = q3
    tmp[at + 4 * step] = q4
    tmp[at + 5 * step] = q5


@kernel
def _transform_products(Y, bias, y, tmp, first):  # type: ignore[no-untyped-def]
    """y = Aᵀ Y A + b of (1) for the tiles from `first` on, written where they belong."""
    _, H, W, O = y.shape
    rows, columns = (H + 3) // 4, (W + 3) // 4
    for tile in range(Y.shape[1]):
        n = (first + tile) // (rows * columns)
        rest = (first + tile) - n * (rows * columns)
        top, left = rest // columns * 4, rest % columns * 4
        for start in range(0, O, CHANNELS):
            channels = min(CHANNELS, O - start)
            for j in range(6):
                column = j * CHANNELS
                for c in range(channels):
                    p0, p1, p2, p3 = _times_A_transposed(
                        Y[j, tile, start + c],
                        Y[6 + j, tile, start + c],
                        Y[12 + j, tile, start + c],
                        Y[18 + j, tile, start + c],
                        Y[24 + j, tile, start + c],
                        Y[30 + j, tile, start + c],
                    )
                    tmp[column + c] = p0
                    tmp[column + 6 * CHANNELS + c] = p1
                    tmp[column + 12 * CHANNELS + c] = p2
                    tmp[column + 18 * CHANNELS + c] = p3
            for i in range(min(4, H - top)):
                row = i * 6 * CHANNELS
                for c in range(channels):
                    p0, p1, p2, p3 = _times_A_transposed(
                        tmp[row + c],
                        tmp[row + CHANNELS + c],
                        tmp[row + 2 * CHANNELS + c],
                        tmp[row + 3 * CHANNELS + c],
                        tmp[row + 4 * CHANNELS + c],
                        tmp[row + 5 * CHANNELS + c],
                    )
                    tmp[row + c] = p0
                    tmp[row + CHANNELS + c] = p1
                    tmp[row + 2 * CHANNELS + c] = p2
                    tmp[row + 3 * CHANNELS + c] = p3
                for j in range(min(4, W - left)):
                    for c in range(channels):
                        y[n, top + i, left + j, start + c] = tmp[row + j * CHANNELS + c] + bias[start + c]


@kernel
def _transform_gradients(dy, dY, tmp, sums, first):  # type: ignore[no-untyped-def]
    """dY = A dy Aᵀ of (3) for the tiles from `first` on, and the sum of dy over them."""
    _, H, W, O = dy.shape
    zero = type_of(tmp[0])(0)
    rows, columns = (H + 3) // 4, (W + 3) // 4
    for tile in range(dY.shape[1]):
        n = (first + tile) // (rows * columns)
        rest = (first + tile) - n * (rows * columns)
        top, left = rest // columns * 4, rest % columns * 4
        for start in range(0, O, CHANNELS):
            channels = min(CHANNELS, O - start)
            for i in range(4):
                row = i * 6 * CHANNELS
                for j in range(4):
                    if top + i < H and left + j < W:
                        for c in range(channels):
                            tmp[row + j * CHANNELS + c] = dy[n, top + i, left + j, start + c]
                    else:
                        for c in range(channels):
                            tmp[row + j * CHANNELS + c] = zero
                for c in range(channels):
                    a, b = tmp[row + c], tmp[row + CHANNELS + c]
                    e, d = tmp[row + 2 * CHANNELS + c], tmp[row + 3 * CHANNELS + c]
                    sums[start + c] += a + b + e + d
                    q0, q1, q2, q3, q4, q5 = _times_A(a, b, e, d)
                    tmp[row + c] = q0
                    tmp[row + CHANNELS + c] = q1
                    tmp[row + 2 * CHANNELS + c] = q2
                    tmp[row + 3 * CHANNELS + c] = q3
                    tmp[row + 4 * CHANNELS + c] = q4
                    tmp[row + 5 * CHANNELS + c] = q5
            for j in range(6):
                column = j * CHANNELS
                for c in range(channels):
                    q0, q1, q2, q3, q4, q5 = _times_A(
                        tmp[column + c],
                        tmp[column + 6 * CHANNELS + c],
                        tmp[column + 12 * CHANNELS + c],
                        tmp[column + 18 * CHANNELS + c],
                    )
                    tmp[column + c] = q0
                    tmp[column + 6 * CHANNELS + c] = q1
                    tmp[column + 12 * CHANNELS + c] = q2
                    tmp[column + 18 * CHANNELS + c] = q3
                    tmp[column + 24 * CHANNELS + c] = q4
                    tmp[column + 30 * CHANNELS + c] = q5
            for k in range(36):
                for c in range(channels):
                    dY[k, tile, start + c] = tmp[k * CHANNELS + c]
