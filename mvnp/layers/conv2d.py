"""2-d convolution, as matrix products over patches (im2col).

    x, dx (B, H, W, I)    y, dy (B, H', W', O)    weight w (O, I, Kh, Kw)    bias b (O,) or None    stride s, padding p

    forward     y_hw = Σ_ij w_ij x_(hs + i − p, ws + j − p) + b         H' = ⌊(H + 2p − Kh)/s⌋ + 1        (1)

With X the matrix whose row (b, h, w) is the patch that y_hw sees, (Kh Kw I) numbers, and M the kernel as a (Kh Kw I, O)
matrix, this is one product, and so are its gradients:

    forward     Y = X M + b                                             (2)
    backward    dX = dY Mᵀ      dM = Xᵀ dY      db = Σ dY               (3)

dx collects from dX: a pixel lies in several patches, and gets the sum of its gradients in all of them (col2im). X is Kh Kw/s²
times as large as x, so it is made for a few samples at a time, and again in the backward instead of being kept.

Chellapilla, Puri, Simard: High Performance Convolutional Neural Networks for Document Processing (2006).
"""

from __future__ import annotations

from collections.abc import Iterator

from ..backend import Array, array_module
from ..errors import InputError, check_array
from ..initializer import Initializer
from ..layer import Layer, Param, Tape

PATCH_BYTES = 16 << 20  # how much of X is in memory at once

Pair = tuple[int, int]


def conv2d_forward(
    x: Array, weight: Array, bias: Array | None = None, stride: Pair = (1, 1), padding: Pair = (0, 0)
) -> tuple[Array, tuple]:
    """y of (1), and the cache for `conv2d_backward`.

    Raises InputError unless x is (B, H, W, I), and where the padded image is smaller than the kernel.
    """
    check_array("Conv2d", "x", x, ("B", "H", "W", weight.shape[1]))
    xp = array_module(x, weight, bias)
    Ho, Wo = _output_size(x, weight, stride, padding)
    O = weight.shape[0]
    M = _kernel_matrix(weight)
    y = xp.empty((x.shape[0], Ho, Wo, O), x.dtype)
    for part in _parts(x, Ho * Wo * M.shape[0]):
        X = _patches(_pad(x[part], padding), weight.shape[2:], stride)
        y[part] = (X @ M).reshape(-1, Ho, Wo, O)
    if bias is not None:
        y += bias
    return y, (x, weight, bias is not None, stride, padding)


def conv2d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (3); dbias is None where there was no bias."""
    x, weight, has_bias, stride, padding = cache
    xp = array_module(x)
    O, I, Kh, Kw = weight.shape
    M = _kernel_matrix(weight)
    dM = xp.zeros_like(M)
    dx = xp.empty_like(x)
    for part in _parts(x, dy.shape[1] * dy.shape[2] * M.shape[0]):
        padded = _pad(x[part], padding)
        rows = dy[part].reshape(-1, O)
        dM += _patches(padded, (Kh, Kw), stride).T @ rows
        dX = (rows @ M.T).reshape(*dy[part].shape[:3], Kh, Kw, I)
        dx[part] = _collect(dX, padded, stride)[:, padding[0] : padding[0] + x.shape[1], padding[1] : padding[1] + x.shape[2]]
    dweight = dM.reshape(Kh, Kw, I, O).transpose(3, 2, 0, 1)
    return dx, dweight, dy.sum(axis=(0, 1, 2)) if has_bias else None


def _output_size(x: Array, weight: Array, stride: Pair, padding: Pair) -> Pair:
    sizes = [(x.shape[a + 1] + 2 * padding[a] - weight.shape[a + 2]) // stride[a] + 1 for a in (0, 1)]
    if min(sizes) < 1:
        raise InputError(
            f"Conv2d: an image of {x.shape[1]}x{x.shape[2]} with padding {padding[0]}x{padding[1]} is smaller than"
            f" the kernel, {weight.shape[2]}x{weight.shape[3]}"
        )
    return sizes[0], sizes[1]


def _parts(x: Array, patch_numbers: int) -> Iterator[slice]:
    """Slices of the batch, each with at most PATCH_BYTES of patches (or one sample)."""
    step = max(1, PATCH_BYTES // (patch_numbers * x.dtype.itemsize))
    return (slice(start, start + step) for start in range(0, x.shape[0], step))


def _kernel_matrix(weight: Array) -> Array:
    """M: rows in the order of a patch (i, j, input channel), columns the output channels."""
    return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _pad(x: Array, padding: Pair) -> Array:
    if padding == (0, 0):
        return x
    (ph, pw), (B, H, W, C) = padding, x.shape
    padded = array_module(x).zeros((B, H + 2 * ph, W + 2 * pw, C), x.dtype)
    padded[:, ph : ph + H, pw : pw + W] = x
    return padded


def _patches(padded: Array, kernel: Pair, stride: Pair) -> Array:
    """X: all patches, one a row. In channel-last order a row of a patch is contiguous, so this copies in long runs."""
    windows = array_module(padded).lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(-1, kernel[0] * kernel[1] * padded.shape[3])


def _collect(dX: Array, padded: Array, stride: Pair) -> Array:
    """The padded image's gradient: position (i, j) of every patch goes back to where it was read, and is added."""
    _, Ho, Wo, Kh, Kw, _ = dX.shape
    dpadded = array_module(dX).zeros(padded.shape, dX.dtype)
    for i in range(Kh):
        for j in range(Kw):
            rows = slice(i, i + Ho * stride[0], stride[0])
            columns = slice(j, j + Wo * stride[1], stride[1])
            dpadded[:, rows, columns] += dX[:, :, :, i, j]
    return dpadded


class Conv2d(Layer):
    """Convolution with a kernel, stride and padding given as one number or as (vertical, horizontal).

    Weight and bias start uniform in ±1/√(I Kh Kw).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        bias: bool = True,
        init: Initializer | None = None,
    ) -> None:
        init = init or Initializer()
        kernel = _pair("kernel_size", kernel_size, least=1)
        fan_in = inputs * kernel[0] * kernel[1]
        self.weight = Param(init.uniform((outputs, inputs, *kernel), fan_in))
        self.bias = Param(init.uniform((outputs,), fan_in)) if bias else None
        self.stride, self.padding = _pair("stride", stride, least=1), _pair("padding", padding, least=0)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        bias = None if self.bias is None else self.bias.data
        return self.record(tape, conv2d_forward(x, self.weight.data, bias, self.stride, self.padding))

    def backward(self, dy: Array, tape: Tape) -> Array:
        dx, dweight, dbias = conv2d_backward(dy, tape.pop(self))
        tape.accumulate(self.weight, dweight)
        if self.bias is not None:
            tape.accumulate(self.bias, dbias)
        return dx


def _pair(name: str, value: int | Pair, least: int) -> Pair:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v >= least for v in pair):
        raise InputError(f"Conv2d: {name} is {value!r}, expected an integer of at least {least}, or a pair of them")
    return pair[0], pair[1]
