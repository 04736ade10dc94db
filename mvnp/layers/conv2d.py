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
(2006)."""

import numpy as np

from ..backend import Array, array_module
from ..core import Function, Initializer, Pair, Param, Tape, output_size, sum_rows
from ..errors import as_pair, check_array, check_arrays
from ..kernels import twin


@twin
def conv2d_forward(x: Array, weight: Array, bias: Array | None = None, stride: Pair = (1, 1),
                   padding: Pair = (0, 0)) -> tuple[Array, tuple]:  # fmt: skip
    """y of (1), by (2), and the cache for `conv2d_backward`. Raises InputError unless x is
    (B, H, W, I), and where the kernel is larger than the padded x."""
    kernel = (weight, ("O", "I", "Kh", "Kw"))
    check_arrays("Conv2d", "bias", weight=kernel, x=(x, "BHWI"), bias=(bias, "O"))
    array_module(x, weight, bias)
    size = output_size("Conv2d", x.shape, weight.shape, stride, padding)
    X = im2col(x, weight.shape[2:], stride, padding)
    M = weight.transpose(2, 3, 1, 0).reshape(-1, size[3])  # rows (i, j, I), as those of a patch
    Y = X @ M if bias is None else X @ M + bias  # (2)
    return Y.reshape(size), (x, weight, bias is not None, stride, padding)  # (1)


@twin
def conv2d_backward(dy: Array, cache: tuple, inputs: bool = True,
                    ) -> tuple[Array | None, Array, Array | None]:  # fmt: skip
    """dx, dweight, dbias of (3) and (4); dbias is None where there was no bias, and dx with
    `inputs=False`, which saves its work."""
    x, weight, has_bias, stride, padding = cache
    size = output_size("Conv2d", x.shape, weight.shape, stride, padding)
    check_array("Conv2d", "dy", dy, size, x)
    O, I, Kh, Kw = weight.shape
    X, dY = im2col(x, (Kh, Kw), stride, padding), dy.reshape(-1, O)
    M = weight.transpose(2, 3, 1, 0).reshape(-1, O)
    dM = X.T @ dY  # (3)
    dweight = dM.reshape(Kh, Kw, I, O).transpose(3, 2, 0, 1)
    dx = col2im(dY @ M.T, x.shape, (Kh, Kw), stride, padding) if inputs else None  # (4)
    return dx, dweight, sum_rows(dY) if has_bias else None


def im2col(x: Array, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """X of (2), (B·H'·W', Kh·Kw·I): tap (i, j) of all patches is a slice of the padded image."""
    xp, (ph, pw) = array_module(x), padding
    x_padded = xp.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
    X = xp.concatenate([x_padded[tap] for tap in _taps(x_padded, kernel, stride)], axis=3)
    return X.reshape(-1, X.shape[3])


def col2im(dX: Array, size: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """(4), the adjoint of `im2col`: what each tap read is added where it read it."""
    (B, H, W, I), (ph, pw) = size, padding
    dx_padded = array_module(dX).zeros((B, H + 2 * ph, W + 2 * pw, I), dX.dtype)
    for k, tap in enumerate(_taps(dx_padded, kernel, stride)):
        before = dx_padded[tap]  # of one tap: no pixel is in it twice
        dx_padded[tap] = before + dX[:, k * I : (k + 1) * I].reshape(before.shape)
    return dx_padded[:, ph : ph + H, pw : pw + W]


def _taps(x_padded: Array, kernel: Pair, stride: Pair) -> list[tuple[slice, ...]]:
    """For each tap (i, j) of the kernel, the pixels that it meets, one for each patch."""
    (Kh, Kw), (sh, sw), (_, H, W, _) = kernel, stride, x_padded.shape
    down, across = H - Kh + 1, W - Kw + 1
    return [np.s_[:, i : i + down : sh, j : j + across : sw] for i, j in np.ndindex(Kh, Kw)]


class Conv2d(Function):
    """Convolution; kernel, stride and padding are one number, or (vertical, horizontal). Weight
    and bias start uniform in ±1/√(I Kh Kw)."""

    pair, params = (conv2d_forward, conv2d_backward), ("weight", "bias")
    options = "stride", "padding"

    def __init__(self, inputs: int, outputs: int, kernel_size: int | Pair, stride: int | Pair = 1,
                 padding: int | Pair = 0, bias: bool = True,
                 init: Initializer | None = None) -> None:  # fmt: skip
        init, kernel = init or Initializer(), as_pair("Conv2d", "kernel_size", kernel_size, 1)
        fan_in = inputs * kernel[0] * kernel[1]
        self.weight = Param(init.uniform((outputs, inputs, *kernel), fan_in))
        self.bias = Param(init.uniform((outputs,), fan_in)) if bias else None
        self.stride = as_pair("Conv2d", "stride", stride, 1)
        self.padding = as_pair("Conv2d", "padding", padding, 0)

    def backward(self, dy: Array, tape: Tape, inputs: bool = True) -> Array:
        """dx; None with `inputs=False`, where nothing needs it and its work can be saved."""
        gradients = conv2d_backward(dy, tape.pop(self), inputs)
        return self.accumulate(tape, gradients, self.weight, self.bias)
