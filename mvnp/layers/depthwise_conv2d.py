"""Depthwise 2-d convolution with 'same' padding: a kernel for each channel, over the map.

    x, y, dx, dy (B, H, W, D)    weight w (D, 1, Kh, Kw)    bias b (D,) or None

    forward     y_hw = Σ_ij w_ij x_(h + i − p, w + j − q) + b                             (1)
    backward    dx_hw = Σ_ij w_ij dy_(h − i + p, w − j + q)                               (2)
                dw_ij = Σ_hw dy_hw x_(h + i − p, w + j − q)        db = Σ_hw dy_hw        (3)

with p = ⌊(Kh − 1)/2⌋ and q = ⌊(Kw − 1)/2⌋, and x = 0 outside of the map.

This is conv1d.py with a second axis: (3) is also summed over the batch, the kernel is turned by
180° in dx and not in y, and of an even kernel's padding the extra zeros stand at bottom and right.

A convolution that mixes channels, conv2d.py, does D times the work for each pixel. Here a channel
looks at its own neighbours only, and the linear layers around it mix.

Howard et al.: MobileNets, arXiv:1704.04861, section 3.1."""

import numpy as np

from ..backend import Array, array_module
from ..core import Function, Initializer, Pair, Param, sum_rows
from ..errors import as_pair, check_array, check_arrays
from ..kernels import twin


@twin
def depthwise_conv2d_forward(x: Array, weight: Array,
                             bias: Array | None = None) -> tuple[Array, tuple]:  # fmt: skip
    """y of (1), and the cache for the backward. Raises InputError unless x is (B, H, W, D)."""
    kernel = (weight, ("D", 1, "Kh", "Kw"))
    check_arrays("DepthwiseConv2d", "bias", weight=kernel, x=(x, "BHWD"), bias=(bias, "D"))
    array_module(x, weight, bias)
    w = weight.reshape(weight.shape[0], -1).T  # a row for each tap (i, j)
    y = sum(w_ij * x_ij for w_ij, x_ij in zip(w, _taps(x, weight, _before(weight)), strict=True))
    return y if bias is None else y + bias, (x, weight, bias is not None)  # (1)


@twin
def depthwise_conv2d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2) and (3); dbias is None where there was no bias."""
    x, weight, has_bias = cache
    check_array("DepthwiseConv2d", "dy", dy, x.shape, x)
    (Kh, Kw), (p, q) = weight.shape[2:], _before(weight)
    turned = weight.reshape(weight.shape[0], -1).T[::-1]
    dy_taps = _taps(dy, weight, (Kh - 1 - p, Kw - 1 - q))
    dx = sum(w_ij * dy_ij for w_ij, dy_ij in zip(turned, dy_taps, strict=True))  # (2)
    dw = [sum_rows(dy * x_ij) for x_ij in _taps(x, weight, (p, q))]  # (3)
    dweight = array_module(x).stack(dw, axis=1).reshape(weight.shape)
    return dx, dweight, sum_rows(dy) if has_bias else None


def _before(weight: Array) -> Pair:
    """(p, q): the rows of zeros above the map, and the columns on its left."""
    Kh, Kw = weight.shape[2:]
    return (Kh - 1) // 2, (Kw - 1) // 2


def _taps(x: Array, weight: Array, before: Pair) -> list[Array]:
    """What the pixels meet at each tap (i, j): slices (B, H, W, D) of x with so many zeros before
    it, and Kh − 1, Kw − 1 in all."""
    (H, W), (Kh, Kw), (top, left) = x.shape[1:3], weight.shape[2:], before
    pads = ((0, 0), (top, Kh - 1 - top), (left, Kw - 1 - left), (0, 0))
    x_padded = array_module(x).pad(x, pads)
    return [x_padded[:, i : i + H, j : j + W] for i, j in np.ndindex(Kh, Kw)]


class DepthwiseConv2d(Function):
    """A kernel for each of `channels`; `kernel_size` is one number, or (vertical, horizontal).
    Weight and bias start uniform in ±1/√(Kh Kw)."""

    pair, params = (depthwise_conv2d_forward, depthwise_conv2d_backward), ("weight", "bias")

    def __init__(self, channels: int, kernel_size: int | Pair, bias: bool = True,
                 init: Initializer | None = None) -> None:  # fmt: skip
        init = init or Initializer()
        Kh, Kw = as_pair("DepthwiseConv2d", "kernel_size", kernel_size, 1)
        self.weight = Param(init.uniform((channels, 1, Kh, Kw), fan_in=Kh * Kw))
        self.bias = Param(init.uniform((channels,), fan_in=Kh * Kw)) if bias else None
