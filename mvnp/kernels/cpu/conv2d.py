"""The twin of mvnp/layers/conv2d.py: X is made for some rows of outputs at a time, in memory that is used again, and multiplied
while it is in the cache. Where Winograd's method pays (mvnp/kernels/convolution.py), the twin of that computes; the cache and
the scratch memory are the same.

Kernels index with unsigned integers: of those the compiler knows that they do not count from the end, and makes vector code.
"""

from __future__ import annotations

import numpy as np

from ...backend import Array
from ...core import output_size
from ...execution.scratch import workspace
from ..convolution import by_winograd
from . import winograd
from .jit import inline, kernel
from .lanes import LANES, copy_lanes
from .operands import taken
from .product import add_turned, linear
from .rows import blocks_of, over_rows
from .tiles import FEW, VECTOR

U = np.uintp
BLOCK_BYTES = 2 << 20  # of X in memory at once
SHORT = 48  # numbers of a patch
LINES = 16  # whose products are added up in one go
COST = 0.2  # nanoseconds that a number of X takes, or of a kernel

Pair = tuple[int, int]


def conv2d_forward(
    x: Array, weight: Array, bias: Array | None = None, stride: Pair = (1, 1), padding: Pair = (0, 0)
) -> tuple[Array, tuple]:
    if not _fit(x, weight, bias):
        return NotImplemented
    size, cache = output_size("Conv2d", x.shape, weight.shape, stride, padding), (x, weight, bias is not None, stride, padding)
    if by_winograd(x, weight, stride, padding, "cpu"):
        return winograd.winograd_forward(x, weight, bias, padding)[0], cache
    y = np.empty(size, x.dtype)
    geometry = _Geometry(np.ascontiguousarray(x), y.shape, weight.shape[2:], stride, padding)
    offset = None if bias is None else np.ascontiguousarray(bias)
    kernel = np.ascontiguousarray(weight).reshape(len(weight), -1)
    if geometry.few:
        linear(geometry.im2col(slice(0, len(geometry))), kernel, offset, y.reshape(-1, y.shape[3]))
    else:
        M = workspace(np, "convolution.kernel", kernel.shape, x.dtype)  # transposed
        over_rows(_taps_first, (kernel, M), geometry.taps, cost=COST * kernel.shape[1])
        for block in geometry.blocks(BLOCK_BYTES):
            linear(geometry.im2col(block), M, offset, geometry.rows(y, block))
    return y, cache


def conv2d_backward(dy: Array, cache: tuple, inputs: bool = True) -> tuple[Array | None, Array, Array | None]:
    x, weight, has_bias, stride, padding = cache
    size = output_size("Conv2d", x.shape, weight.shape, stride, padding)
    if not _fit(x, weight, None) or not taken(dy, x) or dy.shape != size:
        return NotImplemented
    if by_winograd(x, weight, stride, padding, "cpu"):
        dx, *of_parameters = winograd.winograd_backward(dy, (x, weight, has_bias, padding))
        return dx if inputs else None, *of_parameters
    geometry = _Geometry(np.ascontiguousarray(x), dy.shape, weight.shape[2:], stride, padding)
    dy, kernel = np.ascontiguousarray(dy), np.ascontiguousarray(weight).reshape(len(weight), -1)
    dx, dweight = np.zeros(x.shape, x.dtype) if inputs else None, np.empty(kernel.shape, x.dtype)
    sums = np.zeros(len(weight), np.float64)
    if dx is None and geometry.patch <= SHORT and len(weight) % (VECTOR // x.itemsize) == 0:
        _inputs_first(_gradient_of_short_patches(geometry, dy), dweight, geometry.taps)
    elif geometry.few:
        block = slice(0, len(geometry))
        dY, X = geometry.rows(dy, block), geometry.im2col(block)
        np.matmul(dY.T, X, out=dweight)
        if dx is not None:
            geometry.col2im(np.matmul(dY, kernel, out=X), block, dx)  # X has served: its memory takes dX
    else:
        M = workspace(np, "convolution.kernel", kernel.shape, x.dtype)  # transposed
        _taps_first(kernel, M, geometry.taps)
        dM = workspace(np, "convolution.gradient", kernel.shape[::-1], x.dtype)
        dM_of_block = workspace(np, "convolution.gradient of a block", dM.shape, x.dtype)
        for block in geometry.blocks(_block_bytes(M)):
            dY, X = geometry.rows(dy, block), geometry.im2col(block)
            np.matmul(X.T, dY, out=dM_of_block if block.start else dM)
            if block.start:
                dM += dM_of_block
            if dx is not None:
                geometry.col2im(np.matmul(dY, M, out=X), block, dx)
        _inputs_first(dM, dweight, geometry.taps)
    if has_bias:
        _add_up_rows(dy.reshape(-1, len(weight)), sums)
    return dx, dweight.reshape(weight.shape), sums.astype(x.dtype) if has_bias else None


def _fit(x: Array, weight: Array, bias: Array | None) -> bool:
    """Whether kernels can take them."""
    if not taken(*((x, weight) if bias is None else (x, weight, bias))) or x.ndim != 4 or weight.ndim != 4:
        return False
    return x.shape[3] == weight.shape[1] and (bias is None or bias.shape == weight.shape[:1])


def _gradient_of_short_patches(geometry: _Geometry, dy: Array) -> Array:
    """dM (Kh·Kw·I, O) of (3), where patches are short, as those of an image are: the sums over a line stay in registers, and X
    of a line in the core's first cache."""
    rows = -(-geometry.patch // FEW) * FEW  # so that tiles are whole
    lines = np.arange(len(geometry))
    sums = np.empty((blocks_of(len(lines), LINES), rows, dy.shape[3]), dy.dtype)
    whole = geometry.x.reshape(-1), dy, geometry.sizes
    over_rows(_lines_gradient, (lines,), *whole, cost=COST * geometry.patch * geometry.y[2], sums=(sums,), block=LINES)
    return sums.sum(axis=0, dtype=np.float64).astype(dy.dtype)


def _block_bytes(M: Array) -> int:
    """Of X at once. The products of few columns are faster in small blocks; and a block's dM, which is added to that of the
    others, should not be larger than the block."""
    return max(2 * M.nbytes, min(BLOCK_BYTES, 32 * M.nbytes))


class _Geometry:
    """Which pixels of x each patch has. A line is a row of output pixels (b, h); there are B·H' of them."""

    def __init__(self, x: Array, y: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> None:
        self.x, self.y = x, y
        self.sizes = (*x.shape[1:], *y[1:3], *kernel, *stride, *padding)
        self.taps = kernel[0] * kernel[1]
        self.patch = self.taps * x.shape[3]
        # Of few patches X is put in the order of the kernel's memory, rather than the kernel in the order of patches.
        self.few = 2 * y[0] * y[1] * y[2] <= y[3]

    def __len__(self) -> int:
        return self.y[0] * self.y[1]

    def blocks(self, size: int) -> list[slice]:
        """Cuts the lines so that the patches of each block stay within `size` bytes."""
        most = max(1, size // (self.y[2] * self.patch * self.x.itemsize))
        number = -(-len(self) // most)
        edges = [len(self) * block // number for block in range(number + 1)]
        return [slice(*edges[block : block + 2]) for block in range(number)]

    def rows(self, y: Array, block: slice) -> Array:
        """The output pixels of some lines, (rows, O): a view."""
        return y.reshape(-1, y.shape[2] * y.shape[3])[block].reshape(-1, y.shape[3])

    def im2col(self, block: slice) -> Array:
        """The rows of X of (2) that belong to some lines."""
        lines = np.arange(block.start, block.stop)
        X = workspace(np, "convolution.patches", (len(lines), self.y[2] * self.patch), self.x.dtype)
        im2col = _im2col_by_channel if self.few else _im2col
        over_rows(im2col, (lines, X), self.x.reshape(-1), self.sizes, cost=COST * X.shape[1])
        return X.reshape(-1, self.patch)

    def col2im(self, dX: Array, block: slice, dx: Array) -> None:
        """(4): dX of some lines is added to dx."""
        add = _col2im_by_channel if self.few else _col2im
        add(dX.reshape(-1), dx.reshape(-1), block.start, block.stop, self.sizes)


@inline
def in_image(top, left, sizes):  # type: ignore[no-untyped-def]
    """Whether all pixels of a patch are in the image."""
    H, W, _, _, _, Kh, Kw, _, _, _, _ = sizes
    return top >= 0 and top + Kh <= H and left >= 0 and left + Kw <= W


@inline
def in_lanes(at, to, read, written, sizes):  # type: ignore[no-untyped-def]
    """Whether copies of a patch LANES numbers at a time stay within x, of which so many numbers are `read`, and X. It begins at
    `at` in the one and at `to` in the other."""
    _, W, I, _, _, Kh, Kw, _, _, _, _ = sizes
    row, lanes = Kw * I, int(LANES)
    copied = -(-row // lanes) * lanes
    return at + (Kh - 1) * W * I + copied <= read and to + (Kh - 1) * row + copied <= written


@kernel
def _im2col(lines, X, x, sizes):  # type: ignore[no-untyped-def]
    """The rows of X of some lines. What lies in the image is copied LANES numbers at a time, and what that writes too much the
    next copy overwrites: so not at the end, where another core's rows begin."""
    H, W, I, Ho, Wo, Kh, Kw, sh, sw, ph, pw = sizes
    zero = x.dtype.type(0)
    row, apart = U(Kw * I), U(W * I)
    numbers, to = X.reshape(-1), U(0)
    for line in lines:
        n = line // Ho
        top = (line - n * Ho) * sh - ph
        for wo in range(Wo):
            left = wo * sw - pw
            corner = ((n * H + top) * W + left) * I
            if in_image(top, left, sizes) and in_lanes(corner, np.intp(to), x.size, X.size, sizes):
                at = U(corner)
                for _ in range(Kh):
                    for c in range(U(0), row, LANES):
                        copy_lanes(numbers, to + c, x, at + c)
                    to += row
                    at += apart
                continue
            for i in range(Kh):
                for j in range(Kw):
                    h, w = top + i, left + j
                    if 0 <= h < H and 0 <= w < W:
                        at = U(((n * H + h) * W + w) * I)
                        for c in range(U(I)):
                            numbers[to + c] = x[at + c]
                    else:
                        for c in range(U(I)):
                            numbers[to + c] = zero
                    to += U(I)


@inline
def numbers_read(Wo, patch, rows):  # type: ignore[no-untyped-def]
    """How many numbers of the patches of a line are read for so many rows of the sums. A patch may have fewer: of the last one
    what follows in memory is read, and what it makes means nothing."""
    return (Wo - 1) * patch + rows


@kernel
def _lines_gradient(lines, sums, x, dy, sizes):  # type: ignore[no-untyped-def]
    """Xᵀ dY of (3), for LINES lines in each of the sums."""
    _, _, I, Ho, Wo, Kh, Kw, _, _, _, _ = sizes
    patch = Kh * Kw * I
    of_line = np.zeros(numbers_read(Wo, patch, sums.shape[1]), x.dtype)[: Wo * patch].reshape(Wo, patch)
    sums[:] = 0
    for at in range(len(lines)):
        line = lines[at]
        _im2col(lines[at : at + 1], of_line, x, sizes)
        add_turned(sums[at // LINES], of_line, dy[line // Ho, line % Ho])


@kernel
def _col2im(dX, dx, start, stop, sizes):  # type: ignore[no-untyped-def]
    H, W, I, Ho, Wo, Kh, Kw, sh, sw, ph, pw = sizes
    for line in range(start, stop):
        n = line // Ho
        top = (line - n * Ho) * sh - ph
        for i in range(Kh):
            h = top + i
            if h < 0 or h >= H:
                continue
            for wo in range(Wo):
                left = wo * sw - pw
                first, last = max(0, -left), min(Kw, W - left)
                if first < last:
                    at = U(((n * H + h) * W + left + first) * I)
                    begin = U(((((line - start) * Wo + wo) * Kh + i) * Kw + first) * I)
                    for c in range(U((last - first) * I)):
                        dx[at + c] += dX[begin + c]


@kernel
def _im2col_by_channel(lines, X, x, sizes):  # type: ignore[no-untyped-def]
    """X with the numbers of a patch in the order (input channel, i, j)."""
    H, W, I, Ho, Wo, Kh, Kw, sh, sw, ph, pw = sizes
    zero = x.dtype.type(0)
    for number in range(len(lines)):
        line, of_line = lines[number], X[number]
        n = line // Ho
        for wo in range(Wo):
            row = wo * Kh * Kw * I
            for i in range(Kh):
                for j in range(Kw):
                    h, w = (line - n * Ho) * sh - ph + i, wo * sw - pw + j
                    to = U(row + i * Kw + j)
                    if 0 <= h < H and 0 <= w < W:
                        at = U(((n * H + h) * W + w) * I)
                        for c in range(U(I)):
                            of_line[to + c * U(Kh * Kw)] = x[at + c]
                    else:
                        for c in range(U(I)):
                            of_line[to + c * U(Kh * Kw)] = zero


@kernel
def _col2im_by_channel(dX, dx, start, stop, sizes):  # type: ignore[no-untyped-def]
    H, W, I, Ho, Wo, Kh, Kw, sh, sw, ph, pw = sizes
    for line in range(start, stop):
        n = line // Ho
        for wo in range(Wo):
            row = ((line - start) * Wo + wo) * Kh * Kw * I
            for i in range(Kh):
                for j in range(Kw):
                    h, w = (line - n * Ho) * sh - ph + i, wo * sw - pw + j
                    if 0 <= h < H and 0 <= w < W:
                        at, to = U(((n * H + h) * W + w) * I), U(row + i * Kw + j)
                        for c in range(U(I)):
                            dx[at + c] += dX[to + c * U(Kh * Kw)]


@kernel
def _taps_first(weight, M, taps):  # type: ignore[no-untyped-def]
    """Mᵀ, (O, Kh·Kw·I), of the kernel (O, I·Kh·Kw)."""
    O, T = U(weight.shape[0]), U(taps)
    I = U(weight.shape[1]) // T
    for o in range(O):
        for tap in range(T):
            for i in range(I):
                M[o, tap * I + i] = weight[o, i * T + tap]


@kernel
def _inputs_first(M, weight, taps):  # type: ignore[no-untyped-def]
    """The kernel (O, I·Kh·Kw) of M (Kh·Kw·I, O): 16 outputs at a time, so that both are gone through in whole lines of the
    cache."""
    O, T = U(weight.shape[0]), U(taps)
    I = U(weight.shape[1]) // T
    for start in range(U(0), O, U(16)):
        stop = min(O, start + U(16))
        for i in range(I):
            for tap in range(T):
                for o in range(start, stop):
                    weight[o, i * T + tap] = M[tap * I + i, o]


@kernel
def _add_up_rows(dy, sums):  # type: ignore[no-untyped-def]
    """In float64: a sum of many float32 numbers keeps its digits."""
    for row in range(dy.shape[0]):
        for c in range(dy.shape[1]):
            sums[c] += dy[row, c]
