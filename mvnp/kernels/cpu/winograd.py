"""The twin of mvnp/layers/winograd.py: the transforms in one dimension after the other, some tiles at a time, so that V and Y
stay in the cache between the transforms and the products. Padding is read as zeros, what hangs over is not written, and the
bias is added on the way. A number in brackets is an equation of the layer.

d Tᵀ takes a row of six numbers to six others, T d a column, and so both are one function of six numbers, `_times_T`. Its
matrix takes few products: it has many zeros, and its points come in pairs ±p.
"""

from __future__ import annotations

import math

import numpy as np

from ...backend import Array
from ...core import output_size
from ...execution.parallel import threads
from ...execution.scratch import workspace
from ...layers.winograd import PATCH, TAPS, TILE
from .jit import inline, kernel
from .mathematics import type_of
from .operands import taken
from .product import products
from .rows import over_rows
from .tiles import FEW

# Channels that a tile is transformed with at a time: 36 rows of them stay in a core's first-level cache. Kernels index with
# unsigned integers: of those the compiler knows that they do not count from the end, and makes vector code.
U = np.uintp
CHANNELS = U(96)
SCRATCH = PATCH**2 * int(CHANNELS)  # numbers
COST = 20.0  # nanoseconds that a channel of a tile takes, or of a kernel
BLOCK_BYTES = 1 << 20  # of V in memory at once

Pair = tuple[int, int]


def winograd_forward(x: Array, weight: Array, bias: Array | None = None, padding: Pair = (1, 1)) -> tuple[Array, tuple]:
    if not _fit(x, weight, padding) or (bias is not None and not (taken(x, bias) and bias.shape == weight.shape[:1])):
        return NotImplemented
    y = np.empty(output_size("winograd", x.shape, weight.shape, (1, 1), padding), x.dtype)
    offset = np.zeros(len(weight), x.dtype) if bias is None else np.ascontiguousarray(bias)
    _convolve(np.ascontiguousarray(x), weight, False, offset, y, padding)
    return y, (x, weight, bias is not None, padding)


def winograd_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    x, weight, has_bias, padding = cache
    size = output_size("winograd", x.shape, weight.shape, (1, 1), padding)
    if not _fit(x, weight, padding) or not taken(dy, x) or dy.shape != size:
        return NotImplemented
    O, I = weight.shape[:2]
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    dU = _memory("gradient", O, I, x.dtype)
    dU_of_block = _memory("kernel", O, I, x.dtype)  # this memory is U's, once dw is there
    sums, tmp = np.zeros(O, np.float64), np.empty(SCRATCH, x.dtype)
    for first, count in _blocks(x, dy):
        V, dY = _memory("patches", count, I, x.dtype), _memory("outputs", count, O, x.dtype)
        _patches(x, V, first, _grid(dy), padding)
        _transform_gradients(dy, dY, tmp, sums, first)
        np.matmul(dY.swapaxes(1, 2), V, out=dU_of_block if first else dU)
        if first:
            dU += dU_of_block
    dweight = np.empty((O, I * TAPS**2), x.dtype)
    _transform_kernel_gradient(dU, dweight, tmp)
    dx = np.empty(x.shape, x.dtype)
    _convolve(dy, weight, True, np.zeros(I, x.dtype), dx, (TAPS - 1 - padding[0], TAPS - 1 - padding[1]))
    return dx, dweight.reshape(weight.shape), sums.astype(x.dtype) if has_bias else None


def _fit(x: Array, weight: Array, padding: Pair) -> bool:
    """Whether kernels can take them."""
    if not all(0 <= p < TAPS for p in padding):
        return False
    return taken(x, weight) and x.ndim == 4 and weight.shape[1:] == (x.shape[3], TAPS, TAPS)


def _convolve(x: Array, weight: Array, turned: bool, bias: Array, y: Array, padding: Pair) -> None:
    """(1) for all tiles; of the kernel of (4) where it is turned."""
    I, O = x.shape[3], y.shape[3]
    transformed = _memory("kernel", I, O, x.dtype)
    flat_weight = np.ascontiguousarray(weight).reshape(-1)
    over_rows(_transform_kernel, (np.arange(I),), flat_weight, turned, transformed, cost=COST * O)
    for first, count in _blocks(x, y):
        V, Y = _memory("patches", count, I, x.dtype), _memory("outputs", count, O, x.dtype)
        _patches(x, V, first, _grid(y), padding)
        over_rows(products, (V, transformed, Y), cost=0.01 * count * I * O)
        over_rows(_transform_products, (np.arange(count),), Y, bias, y, first, cost=COST * O)


def _patches(x: Array, V: Array, first: int, grid: Pair, padding: Pair) -> None:
    over_rows(_transform_patches, (np.arange(V.shape[1]),), x, V, first, grid, *padding, cost=COST * x.shape[3])


def _grid(y: Array) -> Pair:
    """How many rows and columns of tiles a map has."""
    return -(-y.shape[1] // TILE), -(-y.shape[2] // TILE)


def _memory(name: str, rows: int, columns: int, dtype: np.dtype) -> Array:
    """A matrix for each number of a transformed patch, with anything in it."""
    return workspace(np, f"convolution.{name}", (PATCH**2, rows, columns), dtype)


def _blocks(x: Array, y: Array) -> list[Pair]:
    """Cuts the tiles of all maps into blocks whose V and Y stay within BLOCK_BYTES each, for each core: the first tile of each
    block, and how many."""
    tiles, channels = len(y) * math.prod(_grid(y)), max(x.shape[3], y.shape[3])
    most = threads() * BLOCK_BYTES // (PATCH**2 * channels * y.dtype.itemsize)
    most = max(1, most if most < FEW else most // FEW * FEW)  # the products take so many rows at a time
    return [(first, min(most, tiles - first)) for first in range(0, tiles, most)]


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


@inline
def _times_G(a, b, c):  # type: ignore[no-untyped-def]
    """G a for three numbers."""
    T = type_of(a)
    even, odd = T(-1 / 1.8984375) * (a + T(0.5625) * c), T(-0.75 / 1.8984375) * b
    further, wide = T(1 / 7.59375) * (a + T(2.25) * c), T(1.5 / 7.59375) * b
    return T(1 / 1.265625) * a, even + odd, even - odd, further + wide, further - wide, c


@inline
def _times_G_transposed(m0, m1, m2, m3, m4, m5):  # type: ignore[no-untyped-def]
    """Gᵀ m for six numbers."""
    T = type_of(m0)
    s, t = T(-1 / 1.8984375) * (m1 + m2), T(-0.75 / 1.8984375) * (m1 - m2)
    u, v = T(1 / 7.59375) * (m3 + m4), T(1.5 / 7.59375) * (m3 - m4)
    return T(1 / 1.265625) * m0 + s + u, t + v, T(0.5625) * s + T(2.25) * u + m5


@inline
def _put(tmp, at, step, numbers):  # type: ignore[no-untyped-def]
    """Six numbers into every `step`-th place."""
    tmp[at] = numbers[0]
    tmp[at + step] = numbers[1]
    tmp[at + U(2) * step] = numbers[2]
    tmp[at + U(3) * step] = numbers[3]
    tmp[at + U(4) * step] = numbers[4]
    tmp[at + U(5) * step] = numbers[5]


@kernel
def _transform_kernel(numbers, weight, turned, transformed):  # type: ignore[no-untyped-def]
    """U = G w Gᵀ of (1), (36, I, O), of the kernel (O·I·9); of the kernel of (4), (36, O, I), where it is turned."""
    _, rows, columns = transformed.shape
    tmp = np.empty(SCRATCH, transformed.dtype)
    # How far apart in the kernel two rows of U are, and two columns.
    down, along = (U(columns) * U(9), U(9)) if turned else (U(9), U(rows) * U(9))
    for number in numbers:
        row = U(number)
        for start in range(U(0), U(columns), CHANNELS):
            channels = min(CHANNELS, U(columns) - start)
            for i in range(U(3)):
                tap = U(8) - U(3) * i if turned else U(3) * i
                at = row * down + start * along + tap
                to = i * U(6) * CHANNELS
                for c in range(channels):
                    one = at + c * along
                    if turned:
                        _put(tmp, to + c, CHANNELS, _times_G(weight[one], weight[one - U(1)], weight[one - U(2)]))
                    else:
                        _put(tmp, to + c, CHANNELS, _times_G(weight[one], weight[one + U(1)], weight[one + U(2)]))
            for j in range(U(6)):
                column = j * CHANNELS
                for c in range(channels):
                    q = _times_G(tmp[column + c], tmp[column + U(6) * CHANNELS + c], tmp[column + U(12) * CHANNELS + c])
                    _put(tmp, column + c, U(6) * CHANNELS, q)
            for k in range(U(36)):
                for c in range(channels):
                    transformed[k, row, start + c] = tmp[k * CHANNELS + c]


@kernel
def _transform_kernel_gradient(dU, dweight, tmp):  # type: ignore[no-untyped-def]
    """dw = Gᵀ dU G of (3), (O, I·9), from dU (36, O, I)."""
    _, O, I = dU.shape
    for o in range(O):
        for start in range(U(0), U(I), CHANNELS):
            channels = min(CHANNELS, U(I) - start)
            for j in range(U(6)):
                column = j * CHANNELS
                for c in range(channels):
                    p0, p1, p2 = _times_G_transposed(
                        dU[j, o, start + c],
                        dU[U(6) + j, o, start + c],
                        dU[U(12) + j, o, start + c],
                        dU[U(18) + j, o, start + c],
                        dU[U(24) + j, o, start + c],
                        dU[U(30) + j, o, start + c],
                    )
                    tmp[column + c] = p0
                    tmp[column + U(6) * CHANNELS + c] = p1
                    tmp[column + U(12) * CHANNELS + c] = p2
            for i in range(U(3)):
                row = i * U(6) * CHANNELS
                for c in range(channels):
                    p0, p1, p2 = _times_G_transposed(
                        tmp[row + c],
                        tmp[row + CHANNELS + c],
                        tmp[row + U(2) * CHANNELS + c],
                        tmp[row + U(3) * CHANNELS + c],
                        tmp[row + U(4) * CHANNELS + c],
                        tmp[row + U(5) * CHANNELS + c],
                    )
                    at = (start + c) * U(9) + i * U(3)
                    dweight[o, at] = p0
                    dweight[o, at + U(1)] = p1
                    dweight[o, at + U(2)] = p2


@inline
def in_image(h, left, H, W):  # type: ignore[no-untyped-def]
    """Whether the six pixels of row h from `left` on are in the image."""
    return 0 <= h < H and left >= 0 and left + 6 <= W


@kernel
def _transform_patches(numbers, x, V, first, tiles, ph, pw):  # type: ignore[no-untyped-def]
    """V = T d Tᵀ of (1) for the tiles from `first` on: (36, tiles, I)."""
    _, H, W, I = x.shape
    tmp = np.empty(SCRATCH, x.dtype)
    zero = x.dtype.type(0)
    rows, columns = tiles
    for tile in numbers:
        n = (first + tile) // (rows * columns)
        rest = (first + tile) - n * (rows * columns)
        top, left = rest // columns * 4 - ph, rest % columns * 4 - pw
        for start in range(U(0), U(I), CHANNELS):
            channels = min(CHANNELS, U(I) - start)
            for i in range(6):
                h = top + i
                row = U(i) * U(6) * CHANNELS
                if in_image(h, left, H, W):
                    for c in range(channels):
                        q = _times_T(
                            x[n, h, left, start + c],
                            x[n, h, left + 1, start + c],
                            x[n, h, left + 2, start + c],
                            x[n, h, left + 3, start + c],
                            x[n, h, left + 4, start + c],
                            x[n, h, left + 5, start + c],
                        )
                        _put(tmp, row + c, CHANNELS, q)
                else:
                    for j in range(6):
                        w = left + j
                        if 0 <= h < H and 0 <= w < W:
                            for c in range(channels):
                                tmp[row + U(j) * CHANNELS + c] = x[n, h, w, start + c]
                        else:
                            for c in range(channels):
                                tmp[row + U(j) * CHANNELS + c] = zero
                    for c in range(channels):
                        _in_place(tmp, row + c, CHANNELS)
            for j in range(6):
                for c in range(channels):
                    _in_place(tmp, U(j) * CHANNELS + c, U(6) * CHANNELS)
            for k in range(36):
                for c in range(channels):
                    V[k, tile, start + c] = tmp[U(k) * CHANNELS + c]


@inline
def _in_place(tmp, at, step):  # type: ignore[no-untyped-def]
    q = _times_T(
        tmp[at], tmp[at + step], tmp[at + U(2) * step], tmp[at + U(3) * step], tmp[at + U(4) * step], tmp[at + U(5) * step]
    )
    _put(tmp, at, step, q)


@kernel
def _transform_products(numbers, Y, bias, y, first):  # type: ignore[no-untyped-def]
    """y = Aᵀ Y A + b of (1) for the tiles from `first` on, written where they belong."""
    _, H, W, O = y.shape
    tmp = np.empty(SCRATCH, y.dtype)
    rows, columns = (H + 3) // 4, (W + 3) // 4
    for tile in numbers:
        n = (first + tile) // (rows * columns)
        rest = (first + tile) - n * (rows * columns)
        top, left = rest // columns * 4, rest % columns * 4
        for start in range(U(0), U(O), CHANNELS):
            channels = min(CHANNELS, U(O) - start)
            for j in range(6):
                column = U(j) * CHANNELS
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
                    tmp[column + U(6) * CHANNELS + c] = p1
                    tmp[column + U(12) * CHANNELS + c] = p2
                    tmp[column + U(18) * CHANNELS + c] = p3
            for i in range(min(4, H - top)):
                row = U(i) * U(6) * CHANNELS
                for c in range(channels):
                    p0, p1, p2, p3 = _times_A_transposed(
                        tmp[row + c],
                        tmp[row + CHANNELS + c],
                        tmp[row + U(2) * CHANNELS + c],
                        tmp[row + U(3) * CHANNELS + c],
                        tmp[row + U(4) * CHANNELS + c],
                        tmp[row + U(5) * CHANNELS + c],
                    )
                    tmp[row + c] = p0
                    tmp[row + CHANNELS + c] = p1
                    tmp[row + U(2) * CHANNELS + c] = p2
                    tmp[row + U(3) * CHANNELS + c] = p3
                for j in range(min(4, W - left)):
                    for c in range(channels):
                        y[n, top + i, left + j, start + c] = tmp[row + U(j) * CHANNELS + c] + bias[start + c]


@kernel
def _transform_gradients(dy, dY, tmp, sums, first):  # type: ignore[no-untyped-def]
    """dY = A dy Aᵀ of (3) for the tiles from `first` on, and the sum of dy over them."""
    _, H, W, O = dy.shape
    zero = dy.dtype.type(0)
    rows, columns = (H + 3) // 4, (W + 3) // 4
    for tile in range(dY.shape[1]):
        n = (first + tile) // (rows * columns)
        rest = (first + tile) - n * (rows * columns)
        top, left = rest // columns * 4, rest % columns * 4
        for start in range(U(0), U(O), CHANNELS):
            channels = min(CHANNELS, U(O) - start)
            for i in range(4):
                row = U(i) * U(6) * CHANNELS
                for j in range(4):
                    if top + i < H and left + j < W:
                        for c in range(channels):
                            tmp[row + U(j) * CHANNELS + c] = dy[n, top + i, left + j, start + c]
                    else:
                        for c in range(channels):
                            tmp[row + U(j) * CHANNELS + c] = zero
                for c in range(channels):
                    a, b = tmp[row + c], tmp[row + CHANNELS + c]
                    e, d = tmp[row + U(2) * CHANNELS + c], tmp[row + U(3) * CHANNELS + c]
                    sums[start + c] += a + b + e + d
                    _put(tmp, row + c, CHANNELS, _times_A(a, b, e, d))
            for j in range(6):
                column = U(j) * CHANNELS
                for c in range(channels):
                    q = _times_A(
                        tmp[column + c],
                        tmp[column + U(6) * CHANNELS + c],
                        tmp[column + U(12) * CHANNELS + c],
                        tmp[column + U(18) * CHANNELS + c],
                    )
                    _put(tmp, column + c, U(6) * CHANNELS, q)
            for k in range(36):
                for c in range(channels):
                    dY[k, tile, start + c] = tmp[U(k) * CHANNELS + c]
