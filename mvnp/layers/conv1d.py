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

from collections.abc import Iterator

from ..backend import Array, array_module
from ..blockwise import column_sums, sample_blocks, sum_rows
from ..errors import check_array
from ..initializer import Initializer
from ..layer import Layer, Param, Tape


def conv1d_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """y of (1), and the cache for `conv1d_backward`. Raises InputError unless x is (B, L, D)."""
    check_array("Conv1d", "x", x, ("B", "L", weight.shape[0]))
    xp = array_module(x, weight, bias)
    y = xp.empty(x.shape, x.dtype)
    for samples in sample_blocks(x):
        xp.multiply(x[samples], weight[:, 0, (weight.shape[2] - 1) // 2], out=y[samples])
        for k, written, read in _neighbours(x.shape[1], weight.shape[2]):
            y[samples, written] += x[samples, read] * weight[:, 0, k]
        if bias is not None:
            y[samples] += bias
    return y, (x, weight, bias is not None)


def conv1d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2) and (3); dbias is None where there was no bias."""
    x, weight, has_bias = cache
    xp = array_module(x)
    (L, D), K = x.shape[1:], weight.shape[2]
    dx = xp.empty(x.shape, x.dtype)
    dweight = xp.zeros_like(weight)
    for samples in sample_blocks(x):
        middle = (K - 1) // 2
        xp.multiply(dy[samples], weight[:, 0, middle], out=dx[samples])
        dweight[:, 0, middle] += column_sums((dy[samples] * x[samples]).reshape(-1, D))
        for k, written, read in _neighbours(L, K):
            # Tap k read x there for y here: what it took it pays back, and its own share is the product.
            dx[samples, read] += dy[samples, written] * weight[:, 0, k]
            dweight[:, 0, k] += column_sums((dy[samples, written] * x[samples, read]).reshape(-1, D))
    return dx, dweight, sum_rows(lambda rows: rows, dy) if has_bias else None


def _neighbours(L: int, K: int) -> Iterator[tuple[int, slice, slice]]:
    """For each tap k but the middle one: k, the tokens t whose y it writes to, and the tokens t + k − p whose x it reads."""
    for k in range(K):
        shift = k - (K - 1) // 2
        if shift and abs(shift) < L:
            yield k, slice(max(0, -shift), L - max(0, shift)), slice(max(0, shift), L - max(0, -shift))


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
