"""The twin of the sum of a residual and the norm behind it, of mvnp/models/blocks.py: one pass, in layernorm.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...core import Tape
from ...layers.layernorm import LayerNorm
from .launch import WARP, accumulator_dtype, contiguous
from .layernorm import KERNELS, WARPS


def add_norm(x: Array, branch: Array, norm: LayerNorm, tape: Tape | None) -> tuple[Array, Array]:
    """As in mvnp/models/blocks.py."""
    if type(norm) is not LayerNorm or x.dtype.kind != "f" or x.dtype != branch.dtype or x.shape != branch.shape:
        return NotImplemented
    weight, bias = norm.weight.data, norm.bias.data
    if weight.shape != x.shape[-1:] or weight.dtype != x.dtype:
        return NotImplemented
    xp, A = array_module(x, branch, weight, bias), accumulator_dtype(x.dtype)
    C = x.shape[-1]
    rows = x.size // C
    total, y = xp.empty(x.shape, x.dtype), xp.empty(x.shape, x.dtype)
    mean, rstd = xp.empty((2, *x.shape[:-1], 1), A)
    arrays = contiguous(x), contiguous(branch), contiguous(weight, A), contiguous(bias, A), total, y, mean, rstd
    KERNELS.launch("add_layernorm_forward", -(-rows // WARPS), WARPS * WARP, *arrays, rows, C, float(norm.eps))
    return total, norm.record(tape, (y, (total, weight, mean, rstd)))
