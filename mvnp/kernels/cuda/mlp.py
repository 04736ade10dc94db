"""The twin of mvnp/models/mlp.py: the first bias and the GELU are one pass, in gelu.cu."""

from __future__ import annotations

from typing import Any

from ...backend import Array, array_module
from ...core import Tape
from ...layers.gelu import GELU
from ...layers.linear import linear_forward
from .columns import ACROSS, DOWN, MOST_DOWN
from .gelu import KERNELS
from .launch import contiguous


def forward(self: Any, x: Array, tape: Tape | None = None) -> Array:
    """As in mvnp/models/mlp.py."""
    fc1, act = self.fc1, self.act
    if type(act) is not GELU or act.approximate != "none" or fc1.bias is None or x.dtype.kind != "f":
        return NotImplemented
    weight, bias = fc1.weight.data, fc1.bias.data
    v, _ = linear_forward(x, weight)
    h, C = array_module(v, bias).empty(v.shape, v.dtype), v.shape[-1]
    rows = v.size // C
    grid = -(-C // (4 * ACROSS)), min(-(-rows // DOWN), MOST_DOWN)
    KERNELS.launch("bias_gelu_forward", grid, (ACROSS, DOWN), v, contiguous(bias, v.dtype), h, rows, C)
    fc1.record(tape, (v, (x, weight, True)))
    h = self.drop1(act.record(tape, (h, v)), tape)
    return self.drop2(self.fc2(h, tape), tape)
