"""Depthwise 1-d convolution with 'same' padding: each channel is smoothed along the sequence by its own kernel.

    x, y, dx, dy (B, L, D)    weight w (D, 1, K)    bias b (D,) or None

    forward     y_t = Σ_k w_k x_(t + k − p) + b        p = ⌊(K − 1)/2⌋, x = 0 outside        (1)
    backward    dx_s = Σ_k w_k dy_(s − k + p)          dw_k = Σ_t dy_t x_(t + k − p)         (2)
                db = Σ_t dy_t                                                                (3)

With a SiLU behind it, v is what (1) gives, and what (2) and (3) go back from is dv (silu.py):

    y = v σ(v)                            dv = dy σ(v) (1 + v (1 − σ(v)))                (4)

dw and db are also summed over the batch. As everywhere in deep learning this is a correlation: the kernel is not flipped
going forward, and so is flipped in dx. Of an even kernel's padding, the extra zero stands on the right, as in PyTorch.
MambaVision uses it in place of Mamba's causal convolution: a token in an image has no reason to see only its past.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape
from ..errors import check_array
from ..execution.blockwise import column_sums, sample_blocks, sum_rows
from ..kernels import twin
from .silu import silu_backward, silu_forward


@twin
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


@twin
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


@twin
def conv1d_silu_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """y of (4), and the cache for `conv1d_silu_backward`: x, weight, bias, and v, or None where v is to be made again."""
    v, _ = conv1d_forward(x, weight, bias)
    return silu_forward(v)[0], (x, weight, bias, v)


@twin
def conv1d_silu_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2) and (3), behind (4)."""
    x, weight, bias, v = cache
    if v is None:
        v, _ = conv1d_forward(x, weight, bias)
    return conv1d_backward(silu_backward(dy, v), (x, weight, bias is not None))


def _neighbours(L: int, K: int) -> Iterator[tuple[int, slice, slice]]:
    """For each tap k but the middle one: k, the tokens t whose y it writes to, and the tokens t + k − p whose x it reads."""
    for k in range(K):
        shift = k - (K - 1) // 2
        if shift and abs(shift) < L:
            yield k, slice(max(0, -shift), L - max(0, shift)), slice(max(0, shift), L - max(0, -shift))


class Conv1d(Layer):
    """A kernel of size `kernel_size` for each of `channels`, and with `silu` a SiLU behind it. Starts uniform in ±1/√K."""

    def __init__(
        self, channels: int, kernel_size: int, bias: bool = False, silu: bool = False, init: Initializer | None = None
    ) -> None:
        init = init or Initializer()
        self.weight = Param(init.uniform((channels, 1, kernel_size), fan_in=kernel_size))
        self.bias = Param(init.uniform((channels,), fan_in=kernel_size)) if bias else None
        self.silu = silu

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        forward = conv1d_silu_forward if self.silu else conv1d_forward
        return self.record(tape, forward(x, self.weight.data, None if self.bias is None else self.bias.data))

    def backward(self, dy: Array, tape: Tape) -> Array:
        backward = conv1d_silu_backward if self.silu else conv1d_backward
        dx, dweight, dbias = backward(dy, tape.pop(self))
        tape.accumulate(self.weight, dweight)
        if self.bias is not None:
            tape.accumulate(self.bias, dbias)
        return dx
