"""2-d convolution, as matrix products over patches (im2col).

    x, dx (B, H, W, I)    y, dy (B, H', W', O)    weight w (O, I, Kh, Kw)    bias b (O,) or None    stride s, padding p

    forward     y_hw = Σ_ij w_ij x_(hs + i − p, ws + j − p) + b         H' = ⌊(H + 2p − Kh)/s⌋ + 1        (1)

With X the matrix whose row (b, h, w) is the patch that y_hw sees, (Kh Kw I) numbers, and M the kernel as a (Kh Kw I, O)
matrix, this is one product, and so are its gradients:

    forward     Y = X M + b                                             (2)
    backward    dX = dY Mᵀ      dM = Xᵀ dY      db = Σ dY               (3)

dx collects from dX: a pixel lies in several patches, and gets the sum of its gradients in all of them (col2im). X is Kh Kw/s²
times as large as x, so it is made block by block, always in the same memory, and again in the backward instead of being kept.

Chellapilla, Puri, Simard: High Performance Convolutional Neural Networks for Document Processing (2006).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape
from ..errors import InputError, check_array, check_choice
from ..execution.blockwise import sum_rows
from ..execution.padding import padded_rows
from ..execution.workspace import workspace
from ..kernels import twin
from .winograd import winograd_backward, winograd_forward

# How much of X is in memory at once: what a core's share of the third-level cache holds, and rows enough for a fast product.
PATCH_BYTES = 4 << 20
DEVICE_PATCH_BYTES = 256 << 20  # on a GPU, where a small block costs launches and no cache would hold one

Pair = tuple[int, int]


def conv2d_forward(
    x: Array, weight: Array, bias: Array | None = None, stride: Pair = (1, 1), padding: Pair = (0, 0)
) -> tuple[Array, tuple]:
    """y of (1), by (2), and the cache for `conv2d_backward`.

    Raises InputError unless x is (B, H, W, I), and where the padded image is smaller than the kernel.
    """
    check_array("Conv2d", "x", x, ("B", "H", "W", weight.shape[1]))
    xp = array_module(x, weight, bias)
    O = weight.shape[0]
    y = xp.empty((len(x), *_output_size(x, weight, stride, padding), O), x.dtype)
    M = _kernel_matrix(weight)
    for samples, blocks in _parts(y, len(M)):
        for rows in blocks:
            part = y[samples, rows].reshape(-1, O)  # a view: whole samples, or rows of one
            xp.matmul(patches(x[samples], weight.shape[2:], stride, padding, rows), M, out=part)
            if bias is not None:
                part += bias
    return y, (x, weight, bias is not None, stride, padding)


def conv2d_backward(dy: Array, cache: tuple, inputs: bool = True) -> tuple[Array | None, Array, Array | None]:
    """dx, dweight, dbias of (3); dbias is None where there was no bias, and dx with `inputs=False`, which saves its work."""
    x, weight, has_bias, stride, padding = cache
    xp = array_module(x)
    (O, I, Kh, Kw), (ph, pw) = weight.shape, padding
    M = _kernel_matrix(weight)
    dM = xp.zeros_like(M)
    dx = xp.empty_like(x) if inputs else None
    for samples, blocks in _parts(dy, len(M)):
        size = (len(x[samples]), x.shape[1] + 2 * ph, x.shape[2] + 2 * pw, I)
        dpadded = workspace(xp, "conv2d.dpadded", size, x.dtype)
        dpadded[...] = 0
        for rows in blocks:
            part = dy[samples, rows]
            flat = part.reshape(-1, O)
            X = patches(x[samples], (Kh, Kw), stride, padding, rows)
            dM += X.T @ flat
            if inputs:
                dX = xp.matmul(flat, M.T, out=X)  # X has served: its memory takes dX
                collect(dX.reshape(*part.shape[:3], Kh, Kw, I), dpadded, rows.start * stride[0], stride)
        if dx is not None:
            dx[samples] = dpadded[:, ph : ph + x.shape[1], pw : pw + x.shape[2]]
    dweight = dM.reshape(Kh, Kw, I, O).transpose(3, 2, 0, 1)
    return dx, dweight, sum_rows(lambda rows: rows, dy) if has_bias else None


def _output_size(x: Array, weight: Array, stride: Pair, padding: Pair) -> Pair:
    sizes = [(x.shape[a + 1] + 2 * padding[a] - weight.shape[a + 2]) // stride[a] + 1 for a in (0, 1)]
    if min(sizes) < 1:
        raise InputError(
            f"Conv2d: an image of {x.shape[1]}x{x.shape[2]} with padding {padding[0]}x{padding[1]} is smaller than"
            f" the kernel, {weight.shape[2]}x{weight.shape[3]}"
        )
    return sizes[0], sizes[1]


def _parts(y: Array, patch_size: int) -> Iterator[tuple[slice, list[slice]]]:
    """Cuts y (B, H', W', O) so that the patches of each block stay within PATCH_BYTES, or those of a device: several samples,
    or some rows of one.

    Gives slices of the samples, each with the slices of its rows.
    """
    B, H, W = y.shape[:3]
    row_bytes = W * patch_size * y.dtype.itemsize
    most = PATCH_BYTES if array_module(y) is np else DEVICE_PATCH_BYTES
    samples, rows = max(1, most // (H * row_bytes)), max(1, min(H, most // row_bytes))
    blocks = [slice(row, min(row + rows, H)) for row in range(0, H, rows)]
    return ((slice(start, start + samples), blocks) for start in range(0, B, samples))


def _kernel_matrix(weight: Array) -> Array:
    """M: rows in the order of a patch (i, j, input channel), columns the output channels."""
    return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


@twin
def patches(x: Array, kernel: Pair, stride: Pair, padding: Pair, rows: slice) -> Array:
    """The rows of X that belong to some rows of output pixels: all patches, one a row.

    In channel-last order a row of a patch is contiguous in memory, so this copies in long runs.
    """
    xp = array_module(x)
    (ph, pw), height = padding, (rows.stop - rows.start - 1) * stride[0] + kernel[0]
    padded = padded_rows("conv2d.padded", x, rows.start * stride[0] - ph, pw, height, x.shape[2] + 2 * pw)
    windows = xp.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3)
    X = workspace(xp, "conv2d.patches", windows.shape, x.dtype)
    X[...] = windows
    return X.reshape(-1, kernel[0] * kernel[1] * x.shape[3])


@twin
def collect(dX: Array, dpadded: Array, top: int, stride: Pair) -> None:
    """Position (i, j) of every patch goes back to where it was read in the padded image, from row `top` on, and is added."""
    _, Ho, Wo, Kh, Kw, _ = dX.shape
    target = dpadded[:, top:]
    for i in range(Kh):
        for j in range(Kw):
            rows = slice(i, i + Ho * stride[0], stride[0])
            columns = slice(j, j + Wo * stride[1], stride[1])
            target[:, rows, columns] += dX[:, :, :, i, j]


METHODS = ("auto", "patches", "winograd")
WINOGRAD_CHANNELS = 32  # with fewer, the transforms cost more than the products save

_chosen: str | None = None


def use_convolution(method: str) -> None:
    """Choose how convolutions are computed: "patches" as in this file, "winograd" wherever a kernel is 3x3 with stride 1, or
    "auto", the default: Winograd there in float32 on NumPy, where it is faster by measurement, and patches else. On a GPU
    that is reasoned and not measured; see docs/kernels.md. MVNP_CONVOLUTION sets the same.

    Raises InputError for another name.
    """
    global _chosen
    check_choice("convolution", method, METHODS)
    _chosen = method


def _method() -> str:
    if _chosen is None:
        use_convolution(os.environ.get("MVNP_CONVOLUTION") or "auto")
    assert _chosen is not None
    return _chosen


class Conv2d(Layer):
    """Convolution with a kernel, stride and padding given as one number or as (vertical, horizontal).

    Weight and bias start uniform in ±1/√(I Kh Kw). Patches or Winograd: see `use_convolution`.
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
        return self.record(tape, self.apply(x, self.weight.data, None if self.bias is None else self.bias.data))

    def apply(self, x: Array, weight: Array, bias: Array | None) -> tuple[Array, tuple]:
        """The forward with a kernel of the same shape; the cache is (backward, its cache)."""
        if self.by_winograd(x):
            y, cache = winograd_forward(x, weight, bias, self.padding)
            return y, (winograd_backward, cache)
        y, cache = conv2d_forward(x, weight, bias, self.stride, self.padding)
        return y, (conv2d_backward, cache)

    def by_winograd(self, x: Array) -> bool:
        """Whether x is convolved by Winograd's method rather than over patches."""
        possible = self.weight.shape[2:] == (3, 3) and self.stride == (1, 1) and max(self.padding) <= 2
        if not possible or _method() != "auto":
            return possible and _method() == "winograd"
        return array_module(x) is np and x.dtype == np.float32 and min(self.weight.shape[:2]) >= WINOGRAD_CHANNELS

    def backward(self, dy: Array, tape: Tape, inputs: bool = True) -> Array:
        """dx; None with `inputs=False`, where nothing needs it and its work can be saved."""
        backward, cache = tape.pop(self)
        dx, dweight, dbias = backward(dy, cache, inputs)
        tape.accumulate(self.weight, dweight)
        if self.bias is not None:
            tape.accumulate(self.bias, dbias)
        return dx


def _pair(name: str, value: int | Pair, least: int) -> Pair:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, int) and v >= least for v in pair):
        raise InputError(f"Conv2d: {name} is {value!r}, expected an integer of at least {least}, or a pair of them")
    return pair[0], pair[1]
