"""The twin of mvnp/models/mlp.py: the first bias and the GELU are one pass, in gelu.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...core import Layer, Tape
from ...layers.gelu import GELU
from ...layers.linear import Linear, linear_forward
from .columns import ACROSS, DOWN, MOST_DOWN
from .gelu import KERNELS
from .launch import contiguous


def activated(x: Array, linear: Linear, act: Layer, tape: Tape | None) -> Array:
    """As in mvnp/models/mlp.py."""
    if type(linear) is not Linear or type(act) is not GELU or act.approximate != "none" or linear.bias is None:
        return NotImplemented
    weight, bias = linear.weight.data, linear.bias.data
    v, _ = linear_forward(x, weight)
    h, C = array_module(v, bias).empty(v.shape, v.dtype), v.shape[-1]
    rows = v.size // C
    grid = -(-C // (4 * ACROSS)), min(-(-rows // DOWN), MOST_DOWN)
    KERNELS.launch("bias_gelu_forward", grid, (ACROSS, DOWN), v, contiguous(bias, v.dtype), h, rows, C)
    linear.record(tape, (v, (x, weight, True)))
    return act.record(tape, (h, v))
