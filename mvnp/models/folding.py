"""BatchNorm folded into the convolution before it: in evaluation it is a constant scale and shift
of each output channel.

    γ r (w * x + b − μ) + β = (γ r w) * x + (γ r (b − μ) + β)        r = (σ² + ε)^(−1/2)

so a convolution with another kernel and bias does both, and the map is not gone over again. The
kernel is folded at every call: it is small, and nothing has to be kept in step with the weights.
"""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Tape
from ..layers.batchnorm import BatchNorm
from ..layers.conv2d import Conv2d, conv2d_forward


def conv_norm(conv: Conv2d, norm: BatchNorm, x: Array, tape: Tape | None) -> Array:
    """norm(conv(x)); folded where nothing is recorded."""
    if tape is not None:
        return norm(conv(x, tape), tape)
    xp = array_module(x, norm.weight.data)
    scale = norm.weight.data / xp.sqrt(norm.running_var.data + norm.eps)
    shift = norm.bias.data - norm.running_mean.data * scale
    if conv.bias is not None:
        shift = shift + conv.bias.data * scale
    w = conv.weight.data
    # As a matrix of long rows, which multiplies faster than the short ones of a kernel.
    scaled = (w.reshape(len(w), -1) * scale[:, None]).reshape(w.shape)
    return conv2d_forward(x, scaled, shift, conv.stride, conv.padding)[0]
