"""2-d convolution, as a matrix product over patches (im2col).

    x, dx (B, H, W, I)    y, dy (B, H', W', O)    weight w (O, I, Kh, Kw)    bias b (O,) or None
    stride s, padding p

    forward     y_hw = Σ_ij w_ij x_(hs + i − p, ws + j − p) + b     H' = ⌊(H + 2p − Kh)/s⌋ + 1   (1)

With X the matrix whose row (b, h, w) is the patch that y_hw sees, (Kh Kw I) numbers, and M the
kernel as a (Kh Kw I, O) matrix, this is one product, and so are its gradients:

    forward     X = im2col(x)         Y = X M + b                                               (2)
    backward    dX = dY Mᵀ            dM = Xᵀ dY            db = Σ dY                           (3)
                dx = col2im(dX)                                                                 (4)

By (4) a pixel, which lies in several patches, gets the sum of its gradients in all of them. X is
Kh Kw/s² times as large as x, so it is not kept: the backward makes it again.

Chellapilla, Puri, Simard: High Performance Convolutional Neural Networks for Document Processing
(2006).
"""

from __future__ import annotations

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape
from ..core.sums import sum_rows
from ..errors import InputError, check_array
from ..kernels import twin
from .winograd import by_winograd, winograd_backward, winograd_forward

Pair = tuple[int, int]


@twin
def conv2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
) -> tuple[Array, tuple]:
    """y of (1), by (2), and the cache for `conv2d_backward`.

    Raises InputError unless x is (B, H, W, I), and where the padded image is smaller than the
    kernel.
    """
    check_array("Conv2d", "x", x, ("B", "H", "W", weight.shape[1]))
    array_module(x, weight, bias)
    size = output_size(x.shape, weight.shape, stride, padding)
    X, M = im2col(x, weight.shape[2:], stride, padding), _matrix(weight)
    Y = X @ M if bias is None else X @ M + bias  # (2)
    return Y.reshape(size), (x, weight, bias is not None, stride, padding)


@twin
def conv2d_backward(
    dy: Array, cache: tuple, inputs: bool = True
) -> tuple[Array | None, Array, Array | None]:
    """dx, dweight, dbias of (3) and (4); dbias is None where there was no bias, and dx with
    `inputs=False`, which saves its work."""
    x, weight, has_bias, stride, padding = cache
    check_array("Conv2d", "dy", dy, output_size(x.shape, weight.shape, stride, padding))
    O, I, Kh, Kw = weight.shape
    X, M, dY = im2col(x, (Kh, Kw), stride, padding), _matrix(weight), dy.reshape(-1, O)
    dM = X.T @ dY  # (3)
    dweight = dM.reshape(Kh, Kw, I, O).transpose(3, 2, 0, 1)
    dbias = sum_rows(dY) if has_bias else None
    if not inputs:
        return None, dweight, dbias
    dX = dY @ M.T
    return col2im(dX, x.shape, (Kh, Kw), stride, padding), dweight, dbias  # (4)


def im2col(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """X of (2), (B·H'·W', Kh·Kw·I): column (i, j) of all patches is a slice of the image."""
    xp, (Kh, Kw), (ph, pw) = array_module(x), kernel, padding
    padded = xp.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    columns = [padded[place] for place in _places(padded.shape, kernel, stride)]
    return xp.stack(columns, axis=3).reshape(-1, Kh * Kw * x.shape[3])


def col2im(dX: Array, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """(4), the adjoint of `im2col`: what each column read is added where it read it.

    Within one column no pixel occurs twice, so that += of arrays is right.
    """
    (B, H, W, I), (ph, pw) = shape, padding
    dpadded = array_module(dX).zeros((B, H + 2 * ph, W + 2 * pw, I), dX.dtype)
    for k, place in enumerate(_places(dpadded.shape, kernel, stride)):
        target = dpadded[place]
        target += dX[:, k * I : (k + 1) * I].reshape(target.shape)
    return dpadded[:, ph : ph + H, pw : pw + W]


def _places(padded: tuple[int, ...], kernel: Pair, stride: Pair) -> list[tuple[slice, ...]]:
    """For each position (i, j) of the kernel, the pixels of the padded image that it meets."""
    Ho, Wo = ((padded[axis + 1] - kernel[axis]) // stride[axis] + 1 for axis in (0, 1))
    return [
        (
            slice(None),
            slice(i, i + Ho * stride[0], stride[0]),
            slice(j, j + Wo * stride[1], stride[1]),
        )
        for i, j in np.ndindex(*kernel)
    ]


def _matrix(weight: Array) -> Array:
    """M: rows in the order of a patch (i, j, input channel), columns the output channels."""
    return weight.transpose(2, 3, 1, 0).reshape(-1, weight.shape[0])


def output_size(
    x: tuple[int, ...], weight: tuple[int, ...], stride: Pair, padding: Pair
) -> tuple[int, int, int, int]:
    """The shape of y, (B, H', W', O). Raises InputError where the kernel is larger than x."""
    H, W = ((x[a + 1] + 2 * padding[a] - weight[a + 2]) // stride[a] + 1 for a in (0, 1))
    if min(H, W) < 1:
        raise InputError(
            f"Conv2d: an image of {x[1]}x{x[2]} with padding {padding[0]}x{padding[1]}"
            f" is smaller than the kernel, {weight[2]}x{weight[3]}"
        )
    return x[0], H, W, weight[0]


class Conv2d(Layer):
    """Convolution; kernel, stride and padding are one number, or (vertical, horizontal).

    Weight and bias start uniform in ±1/√(I Kh Kw). By im2col or by Winograd's method: see
    `mvnp.layers.winograd.use_convolution`.
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
        self.stride = _pair("stride", stride, least=1)
        self.padding = _pair("padding", padding, least=0)

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        bias = None if self.bias is None else self.bias.data
        return self.record(tape, self.apply(x, self.weight.data, bias))

    def apply(self, x: Array, weight: Array, bias: Array | None) -> tuple[Array, tuple]:
        """The forward with a kernel of the same shape; the cache is (backward, its cache)."""
        if by_winograd(x, weight, self.stride, self.padding):
            y, cache = winograd_forward(x, weight, bias, self.padding)
            return y, (winograd_backward, cache)
        y, cache = conv2d_forward(x, weight, bias, self.stride, self.padding)
        return y, (conv2d_backward, cache)

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
        raise InputError(
            f"Conv2d: {name} is {value!r}, expected an integer of at least {least},"
            " or a pair of them"
        )
    return pair[0], pair[1]
