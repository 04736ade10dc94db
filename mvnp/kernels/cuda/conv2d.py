"""The twins of mvnp/layers/conv2d.py: X is made and gathered block by block, by the kernels of conv2d.cu; cuBLAS does the
products. `MVNP_CONVOLUTION=winograd` takes the array code of Winograd's method where it can; the cache is the same."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from ...backend import Array, array_module
from ...core import output_size
from ...layers.winograd import winograd_backward, winograd_forward
from ..convolution import by_winograd
from .columns import add_bias, sum_rows
from .launch import THREADS, WARP, Kernels, address_of, contiguous

MOST_TAPS = 16  # of a kernel whose loops are unrolled
WHOLE = 4  # blocks that are rather one

Pair = tuple[int, int]


def conv2d_forward(
    x: Array, weight: Array, bias: Array | None = None, stride: Pair = (1, 1), padding: Pair = (0, 0)
) -> tuple[Array, tuple]:
    """As in mvnp/layers/conv2d.py."""
    if x.ndim != 4 or x.dtype.kind != "f" or 0 in x.shape or x.shape[3] != weight.shape[1] or x.dtype != weight.dtype:
        return NotImplemented
    xp, O = array_module(x, weight, bias), weight.shape[0]
    size, cache = output_size("Conv2d", x.shape, weight.shape, stride, padding), (x, weight, bias is not None, stride, padding)
    if by_winograd(x, weight, stride, padding, "cuda"):
        return winograd_forward(x, weight, bias, padding)[0], cache
    y = xp.empty(size, x.dtype)
    M = _matrix(weight)
    for samples, rows in _blocks(y, len(M)):
        part = y[samples, rows].reshape(-1, O)  # a view: whole samples, or rows of one
        xp.matmul(_im2col(x[samples], weight.shape[2:], stride, padding, rows), M, out=part)
        if bias is not None:
            add_bias(part, bias)
    return y, cache


def conv2d_backward(dy: Array, cache: tuple, inputs: bool = True) -> tuple[Array | None, Array, Array | None]:
    """As in mvnp/layers/conv2d.py."""
    x, weight, has_bias, stride, padding = cache
    if dy.shape != output_size("Conv2d", x.shape, weight.shape, stride, padding) or dy.dtype != x.dtype:
        return NotImplemented
    if by_winograd(x, weight, stride, padding, "cuda"):
        dx, *of_parameters = winograd_backward(dy, (x, weight, has_bias, padding))
        return dx if inputs else None, *of_parameters
    xp = array_module(dy, x)
    (O, I, Kh, Kw), (ph, pw), (B, H, W, _) = weight.shape, padding, x.shape
    M = _matrix(weight)
    dM = xp.zeros_like(M)
    dpadded = xp.zeros((B, H + 2 * ph, W + 2 * pw, I), x.dtype) if inputs else None
    for samples, rows in _blocks(dy, len(M)):
        part = dy[samples, rows]
        flat = part.reshape(-1, O)
        X = _im2col(x[samples], (Kh, Kw), stride, padding, rows)
        dM += X.T @ flat
        if dpadded is not None:
            dX = xp.matmul(flat, M.T, out=X)  # X has served: its memory takes dX
            _col2im(dX.reshape(*part.shape[:3], Kh, Kw, I), dpadded[samples], rows.start * stride[0], stride)
    dx = None if dpadded is None else dpadded[:, ph : ph + H, pw : pw + W]
    dweight = dM.reshape(Kh, Kw, I, O).transpose(3, 2, 0, 1)
    return dx, dweight, sum_rows(dy) if has_bias else None


def _im2col(x: Array, kernel: Pair, stride: Pair, padding: Pair, rows: slice) -> Array:
    """The rows of X of (2) that belong to some rows of output pixels."""
    x, (n, H, W, I), Ho = contiguous(x), x.shape, rows.stop - rows.start
    Wo = (W + 2 * padding[1] - kernel[1]) // stride[1] + 1
    X = array_module(x).empty((n * Ho * Wo, kernel[0] * kernel[1] * I), x.dtype)
    step = _step(I, x, X)
    sizes = H, W, I, Ho, Wo, *kernel, *stride, *padding, rows.start
    _kernels(kernel, stride, step).launch("im2col", n * Ho, _block(kernel[1] * I // step, Wo), x, X, *sizes)
    return X


def _col2im(dX: Array, dpadded: Array, top: int, stride: Pair) -> None:
    """(4) for some rows of X: what each patch has is added where it was read in the padded image, from row `top` on."""
    n, Ho, Wo, Kh, Kw, I = dX.shape
    height, (_, padded_height, width, _) = (Ho - 1) * stride[0] + Kh, dpadded.shape
    dX = contiguous(dX)
    step = _step(I, dX, dpadded)
    sizes = height, padded_height, width, I, Ho, Wo, Kh, Kw, *stride, top
    _kernels((Kh, Kw), stride, step).launch("col2im", n * height, _block(I // step, width), dX, dpadded, *sizes)


@functools.cache
def _kernels(kernel: Pair, stride: Pair, step: int) -> Kernels:
    """With sizes that are constants, as loops over few taps are unrolled, and a division by a constant is none."""
    if kernel[0] * kernel[1] > MOST_TAPS:
        return Kernels("conv2d", STEP=step)
    return Kernels("conv2d", KERNEL_H=kernel[0], KERNEL_W=kernel[1], STRIDE_H=stride[0], STRIDE_W=stride[1], STEP=step)


def _step(I: int, *arrays: Array) -> int:
    """How many numbers a thread takes at once: four, where no group of four goes beyond a pixel, or begins where a load of four
    may not, as in a view."""
    return 4 if I % 4 == 0 and all(address_of(array) % 16 == 0 for array in arrays) else 1


def _block(across: int, down: int) -> tuple[int, int]:
    """Threads of a block: along neighbours, a power of two up to a warp, and along the pixels of a row."""
    x = min(WARP, 1 << max(across - 1, 0).bit_length())
    return x, min(THREADS // x, 1 << max(down - 1, 0).bit_length())


def _block_bytes(x: Array) -> int:
    """How much of X there is at a time: what fits into half of the GPU's second cache, where the product finds it again. Where
    all of X is no more than twice that cache, a few launches more would cost what they save: it is made at once."""
    cache = array_module(x).cuda.Device().attributes["L2CacheSize"]
    return cache // 2


def _matrix(weight: Array) -> Array:
    return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _blocks(y: Array, patch_size: int) -> Iterator[tuple[slice, slice]]:
    """Cuts y (B, H', W', O) so that the patches of each block stay within `_block_bytes`: slices of the samples and of the
    rows, several samples, or some rows of one."""
    B, H, W = y.shape[:3]
    row_bytes, limit = W * patch_size * y.dtype.itemsize, _block_bytes(y)
    if B * H * row_bytes <= WHOLE * limit:
        limit = B * H * row_bytes
    samples, rows = max(1, limit // (H * row_bytes)), max(1, min(H, limit // row_bytes))
    for start in range(0, B, samples):
        for row in range(0, H, rows):
            yield slice(start, min(start + samples, B)), slice(row, min(row + rows, H))
