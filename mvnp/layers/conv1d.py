"""Depthwise 1-d convolution with 'same' padding: each channel is smoothed along the sequence by its own kernel.

    x, y, dx, dy (B, L, D)    weight w (D, 1, K)    bias b (D,) or None

    forward     y_t = Σ_k w_k x_(t + k − p) + b        p = ⌊(K − 1)/2⌋, x = 0 outside        (1)
    backward    dx_s = Σ_k w_k dy_(s − k + p)          dw_k = Σ_t dy_t x_(t + k − p)         (2)
                db = Σ_t dy_t                                                                (3)

dw and db are also summed over the batch. As everywhere in deep learning this is a correlation: the kernel is not flipped
going forward, and so is flipped in dx. Of an even kernel's padding, the extra zero stands on the right, as in PyTorch.
MambaVision uses it in place of Mamba's causal convolution: a token in an image has no reason to see only its past.
"""

from __future__ import annotations

from ..backend import Array, array_module
from ..errors import check_array
from ..initializer import Initializer
from ..layer import Layer, Param, Tape


def conv1d_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """y of (1), and the cache for `conv1d_backward`. Raises InputError unless x is (B, L, D)."""
    check_array("Conv1d", "x", x, ("B", "L", weight.shape[0]))
    array_module(x, weight, bias)
    L, K = x.shape[1], weight.shape[2]
    padded = _pad(x, K)
    y = padded[:, :L] * weight[:, 0, 0]
    for k in range(1, K):
        y += padded[:, k : k + L] * weight[:, 0, k]
    if bias is not None:
        y += bias
    return y, (x, weight, bias is not None)


def conv1d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2) and (3); dbias is None where there was no bias."""
    x, weight, has_bias = cache
    xp = array_module(x)
    L, K = x.shape[1], weight.shape[2]
    padded = _pad(x, K)
    dpadded = xp.zeros_like(padded)
    dweight = xp.empty_like(weight)
    for k in range(K):
        # Tap k read padded[t + k] for every t: what it took there it pays back there, and its own share is the product.
        dpadded[:, k : k + L] += dy * weight[:, 0, k]
        dweight[:, 0, k] = (dy * padded[:, k : k + L]).sum(axis=(0, 1))
    left = (K - 1) // 2
    return dpadded[:, left : left + L], dweight, dy.sum(axis=(0, 1)) if has_bias else None


def _pad(x: Array, K: int) -> Array:
    """x with ⌊(K − 1)/2⌋ zeros before the sequence and the rest of K − 1 after it."""
    left = (K - 1) // 2
    padded = array_module(x).zeros((x.shape[0], x.shape[1] + K - 1, x.shape[2]), x.dtype)
    padded[:, left : left + x.shape[1]] = x
    return padded


class Conv1d(Layer):
    """A kernel of size `kernel_size` for each of `channels`. Starts uniform in ±1/√K."""

    def __init__(self, channels: int, kernel_size: int, bias: bool = False, init: Initializer | None = None) -> None:
        init = init or Initializer()
        self.weight = Param(init.uniform((channels, 1, kernel_size), fan_in=kernel_size))
        self.bias = Param(init.uniform((channels,), fan_in=kernel_size)) if bias else None

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.record(tape, conv1d_forward(x, self.weight.data, None if self.bias is None else self.bias.data))

    def backward(self, dy: Array, tape: Tape) -> Array:
        dx, dweight, dbias = conv1d_backward(dy, tape.pop(self))
        tape.accumulate(self.weight, dweight)
        if self.bias is not None:
            tape.accumulate(self.bias, dbias)
        return dx
