"""The twin of mvnp/layers/dropout.py, for masks like x and for those of drop path, with one number for each sample: numbers are
scaled or silenced by several cores. A number in brackets is an equation of the layer."""

from __future__ import annotations

from typing import Any

from ...backend import Array
from .jit import kernel
from .operands import each_number, flat, rows_times, taken

COST = 0.1  # nanoseconds for a number


def dropout_forward(x: Array, mask: Array) -> tuple[Array, Array]:
    y = _times(mask, x)
    return y if y is NotImplemented else (y, mask)


def dropout_backward(dy: Array, mask: Array) -> Array:
    return _times(mask, dy)


def _times(mask: Array, x: Array) -> Array:
    """m x; of (1), and with dy of (2)."""
    if not taken(x, mask) or x.ndim == 0:
        return NotImplemented
    if mask.shape == x.shape:
        return each_number(_times_each, x, mask, cost=COST)
    if mask.shape != (len(x),) + (1,) * (x.ndim - 1):
        return NotImplemented
    return rows_times(flat(mask), x)


@kernel
def _times_each(x: Any, mask: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = mask[i] * x[i]
