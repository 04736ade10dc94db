"""The twin of mvnp/layers/layer_scale.py. A number in brackets is an equation of the layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .operands import flat, rows_of, taken, total
from .rows import BLOCK, blocks_of, over_rows

FORWARD, BACKWARD = 0.1, 0.2  # nanoseconds for a number


def layer_scale_forward(x: Array, gamma: Array) -> tuple[Array, tuple]:
    if not taken(x, gamma) or gamma.ndim != 1 or x.shape[-1:] != gamma.shape:
        return NotImplemented
    y = np.empty(x.shape, x.dtype)
    over_rows(_forward, (rows_of(x), rows_of(y)), flat(gamma), cost=FORWARD * gamma.size)
    return y, (x, gamma)


def layer_scale_backward(dy: Array, cache: tuple) -> tuple[Array, Array]:
    x, gamma = cache
    if not taken(dy, x, gamma) or dy.shape != x.shape:
        return NotImplemented
    rows, dx = rows_of(x), np.empty(x.shape, x.dtype)
    sums = np.zeros((blocks_of(len(rows)), gamma.size), x.dtype)
    over_rows(_backward, (rows_of(dy), rows, rows_of(dx)), flat(gamma), cost=BACKWARD * gamma.size, sums=(sums,))
    return dx, total(sums)


@kernel
def _forward(x: Any, y: Any, gamma: Any) -> None:
    R, C = x.shape
    for i in range(R):
        for c in range(C):
            y[i, c] = gamma[c] * x[i, c]  # (1)


@kernel
def _backward(dy: Any, x: Any, dx: Any, sums: Any, gamma: Any) -> None:
    R, C = x.shape
    for block in range(len(sums)):
        for i in range(block * BLOCK, min(block * BLOCK + BLOCK, R)):
            for c in range(C):
                dx[i, c] = gamma[c] * dy[i, c]  # (2)
                sums[block, c] += dy[i, c] * x[i, c]
