"""Depthwise 1-d convolution: a kernel for each channel, along the sequence.

    x, y, dx, dy (B, L, D)    weight w (D, 1, K)    bias b (D,) or None

    forward     y_t = Σ_k w_k x_(t + k − p) + b        p = ⌊(K − 1)/2⌋, x = 0 outside        (1)
    backward    dx_s = Σ_k w_k dy_(s − k + p)          dw_k = Σ_t dy_t x_(t + k − p)         (2)
                db = Σ_t dy_t                                                                (3)

With a SiLU behind it, v is what (1) gives, and what (2) and (3) go back from is dv (silu.py):

    y = v σ(v)                            dv = dy σ(v) (1 + v (1 − σ(v)))                    (4)

dw, db are summed over the batch too. This is a correlation: the kernel is flipped in dx, not in y.
Of an even kernel's padding the extra zero is on the right. Causal, as Mamba's: p = K − 1."""

from ..backend import Array, array_module
from ..core import Function, Initializer, Param, sum_rows
from ..errors import check_array, check_arrays
from ..kernels import twin
from .silu import silu_backward, silu_forward


@twin
def conv1d_forward(x: Array, weight: Array, bias: Array | None = None, silu: bool = False,
                   causal: bool = False) -> tuple[Array, tuple]:  # fmt: skip
    """y of (1), with `silu` of (4), and its cache. Raises InputError unless x is (B, L, D)."""
    check_arrays("Conv1d", "bias", weight=(weight, ("D", 1, "K")), x=(x, "BLD"), bias=(bias, "D"))
    xp, L, K = array_module(x, weight, bias), x.shape[1], weight.shape[2]
    p = K - 1 if causal else (K - 1) // 2
    x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))  # x_(t + k − p) is number t + k of it
    v = sum(weight[:, 0, k] * x_padded[:, k : k + L] for k in range(K))  # (1)
    v = v if bias is None else v + bias
    return silu_forward(v)[0] if silu else v, (x, weight, bias, silu, causal)


@twin
def conv1d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2) and (3), behind (4); dbias is None where there was no bias."""
    x, weight, bias, silu, causal = cache
    check_array("Conv1d", "dy", dy, x.shape, x)
    if silu:
        dy = silu_backward(dy, conv1d_forward(x, weight, bias, False, causal)[0])  # (4); v not kept
    xp, L, K = array_module(x), x.shape[1], weight.shape[2]
    p = K - 1 if causal else (K - 1) // 2
    x_padded = xp.pad(x, ((0, 0), (p, K - 1 - p), (0, 0)))
    dy_padded = xp.pad(dy, ((0, 0), (K - 1 - p, p), (0, 0)))  # here the kernel is flipped
    dx = sum(weight[:, 0, K - 1 - k] * dy_padded[:, k : k + L] for k in range(K))  # (2)
    dw = [sum_rows(dy * x_padded[:, k : k + L]) for k in range(K)]
    return dx, xp.stack(dw, axis=1)[:, None], None if bias is None else sum_rows(dy)  # (3)


class Conv1d(Function):
    """A kernel for each of `channels`, with `silu` a SiLU behind it. Starts uniform in ±1/√K."""

    pair, params = (conv1d_forward, conv1d_backward), ("weight", "bias")
    options = ("silu", "causal")

    def __init__(self, channels: int, kernel_size: int, bias: bool = False, silu: bool = False,
                 causal: bool = False, init: Initializer | None = None) -> None:  # fmt: skip
        init = init or Initializer()
        self.weight = Param(init.uniform((channels, 1, kernel_size), fan_in=kernel_size))
        self.bias = Param(init.uniform((channels,), fan_in=kernel_size)) if bias else None
        self.silu, self.causal = silu, causal
