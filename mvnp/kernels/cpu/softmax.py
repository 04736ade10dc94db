"""The twin of mvnp/layers/softmax.py: a row stays in a core's cache. A number in brackets is an equation of the layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .mathematics import exp, row_max, type_of
from .operands import rows_of, taken
from .rows import over_rows

FORWARD, BACKWARD = 0.6, 0.2  # nanoseconds for a number


def softmax_forward(x: Array) -> tuple[Array, Array]:
    if not taken(x) or x.ndim == 0:
        return NotImplemented
    y = np.empty(x.shape, x.dtype)
    over_rows(_forward, (rows_of(x), rows_of(y)), cost=FORWARD * x.shape[-1])
    return y, y


def softmax_backward(dy: Array, y: Array) -> Array:
    if not taken(dy, y) or dy.shape != y.shape:
        return NotImplemented
    dx = np.empty(y.shape, y.dtype)
    over_rows(_backward, (rows_of(dy), rows_of(y), rows_of(dx)), cost=BACKWARD * y.shape[-1])
    return dx


@kernel
def _forward(x: Any, y: Any) -> None:
    T = type_of(x[0, 0])
    R, C = x.shape
    for i in range(R):
        m = row_max(x[i])
        total = T(0)
        for c in range(C):
            y[i, c] = exp(x[i, c] - m)
            total += y[i, c]
        one_by_total = T(1) / total
        for c in range(C):
            y[i, c] *= one_by_total  # (1)


@kernel
def _backward(dy: Any, y: Any, dx: Any) -> None:
    T = type_of(y[0, 0])
    R, C = y.shape
    for i in range(R):
        total = T(0)
        for c in range(C):
            total += dy[i, c] * y[i, c]
        for c in range(C):
            dx[i, c] = y[i, c] * (dy[i, c] - total)  # (2)
