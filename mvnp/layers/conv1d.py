"""Depthwise 1-d convolution: a kernel for each channel, along the sequence.

    x, y, dx, dy (B, L, D)    weight w (D, 1, K)    bias b (D,) or None
    p = ⌊(K − 1)/2⌋, or K − 1 if causal

    forward     y_t = Σ_k w_k x_(t + k − p) + b        x = 0 outside                         (1)
    backward    dx_s = Σ_k w_k dy_(s − k + p)          dw_k = Σ_t dy_t x_(t + k − p)         (2)
                db = Σ_t dy_t                                                                (3)

With a SiLU behind it, v is what (1) gives, and what (2) and (3) go back from is dv (silu.py):

    y = v σ(v)                            dv = dy σ(v) (1 + v (1 − σ(v)))                    (4)

dw and db are also summed over the batch. As everywhere in deep learning this is a correlation: the
kernel is flipped in dx, not in y. Of an even kernel's padding, the extra zero stands on the right,
as in PyTorch. Mamba's and Vim's are causal: all zeros stand on the left, and a token sees itself
and its past. MambaVision's are not; a token in an image has no reason to see only its past.
"""

from ..backend import Array, array_module
from ..core import Initializer, Layer, Param, Tape, sum_rows
from ..errors import check_array
from ..kernels import twin
from .silu import silu_backward, silu_forward


@twin
def conv1d_forward(
    x: Array, weight: Array, bias: Array | None = None, silu: bool = False, causal: bool = False
) -> tuple[Array, tuple]:
    """y of (1), with `silu` of (4), and the cache for `conv1d_backward`. Raises InputError unless x
    is (B, L, D)."""
    check_array("Conv1d", "x", x, ("B", "L", weight.shape[0]))
    xp = array_module(x, weight, bias)
    L, K = x.shape[1], weight.shape[2]
    p = K - 1 if causal else (K - 1) // 2
    x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))  # x_(t + k − p) is number t + k of it
    v = sum(weight[:, 0, k] * x_padded[:, k : k + L] for k in range(K))  # (1)
    v = v if bias is None else v + bias
    return silu_forward(v)[0] if silu else v, (x, weight, bias, silu, causal)


@twin
def conv1d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2) and (3), behind (4); dbias is None where there was no bias."""
    x, weight, bias, silu, causal = cache
    check_array("Conv1d", "dy", dy, x.shape)
    if silu:
        v, _ = conv1d_forward(x, weight, bias, causal=causal)  # it is not kept
        dy = silu_backward(dy, v)  # (4)
    xp, L, K = array_module(x), x.shape[1], weight.shape[2]
    p = K - 1 if causal else (K - 1) // 2
    x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))
    dy_padded = xp.pad(dy, ((0, 0), (K - 1 - p, p), (0, 0)))  # here the kernel is flipped
    dx = sum(weight[:, 0, K - 1 - k] * dy_padded[:, k : k + L] for k in range(K))  # (2)
    dw = [sum_rows(dy * x_padded[:, k : k + L]) for k in range(K)]
    return dx, xp.stack(dw, axis=1)[:, None], None if bias is None else sum_rows(dy)


class Conv1d(Layer):
    """A kernel of size `kernel_size` for each of `channels`, and with `silu` a SiLU behind it.
    Starts uniform in ±1/√K."""

    def __init__(
        self, channels: int, kernel_size: int, bias: bool = False, silu: bool = False,
        causal: bool = False, init: Initializer | None = None,
    ) -> None:  # fmt: skip
        init = init or Initializer()
        self.weight = Param(init.uniform((channels, 1, kernel_size), fan_in=kernel_size))
        self.bias = Param(init.uniform((channels,), fan_in=kernel_size)) if bias else None
        self.silu, self.causal = silu, causal

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        bias = None if self.bias is None else self.bias.data
        return self.record(tape, conv1d_forward(x, self.weight.data, bias, self.silu, self.causal))

    def backward(self, dy: Array, tape: Tape) -> Array:
        gradients = conv1d_backward(dy, tape.pop(self))
        return self.accumulate(tape, gradients, self.weight, self.bias)
