"""BatchNorm folded into the convolution before it: in evaluation it is a constant scale and shift
of each output channel.

    γ r (w * x + b − μ) + β = (γ r w) * x + (γ r (b − μ) + β)        r = (σ² + ε)^(−1/2)        (1)

so a convolution with another kernel and bias does both, and the map is not gone over again. The
kernel is folded at every call, for it is small, or once while weights are fixed
(mvnp/execution/fixed.py).
"""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Tape
from ..execution.fixed import once
from ..kernels import twin
from ..layers.batchnorm import BatchNorm
from ..layers.conv2d import Conv2d, conv2d_forward


def conv_norm(conv: Conv2d, norm: BatchNorm, x: Array, tape: Tape | None) -> Array:
    """norm(conv(x)); folded where nothing is recorded."""
    if tape is not None:
        return norm(conv(x, tape), tape)
    w, b = conv.weight.data, None if conv.bias is None else conv.bias.data
    statistics = norm.running_mean.data, norm.running_var.data
    affine = norm.weight.data, norm.bias.data
    kernel, bias = once((conv, norm), lambda: folded(w, b, *affine, *statistics, norm.eps))
    return conv2d_forward(x, kernel, bias, conv.stride, conv.padding)[0]


@twin
def folded(w: Array, b: Array | None, weight: Array, bias: Array, mean: Array, variance: Array,
           eps: float) -> tuple[Array, Array]:  # fmt: skip
    """Kernel and bias of (1): a convolution's w and b, and a norm's γ, β, μ, σ² and ε."""
    scale = weight / array_module(weight).sqrt(variance + eps)
    shift = bias - mean * scale
    # As a matrix of long rows, which multiplies faster than the short ones of a kernel.
    kernel = (w.reshape(len(w), -1) * scale[:, None]).reshape(w.shape)
    return kernel, shift if b is None else shift + b * scale
