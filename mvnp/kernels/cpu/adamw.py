"""The twin of `adamw_update` of mvnp/training/adamw.py: a dozen passes over four arrays become one.

A number in brackets is an equation of that file.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .operands import flat, taken
from .rows import over_rows

COST = 0.5  # nanoseconds for a number


def adamw_update(
    p: Array, g: Array, m: Array, v: Array, t: int, lr: float, decay: float, betas: tuple[float, float], eps: float
) -> Any:
    written = p, m, v
    if not taken(g, *written) or any(array.shape != g.shape for array in written):
        return NotImplemented
    beta1, beta2 = betas
    step, root = lr / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t)  # (2): two numbers, which go where they cost least
    constants = (beta1, 1 - beta1, beta2, 1 - beta2, root, eps, 1 - lr * decay, step)
    rows = [flat(array) for array in written]
    over_rows(_update, (flat(g), *rows), *map(p.dtype.type, constants), cost=COST)
    for array, row in zip(written, rows, strict=True):
        if not np.may_share_memory(array, row):  # a copy, of one that does not lie in row-major order
            array[...] = row.reshape(array.shape)
    return None


@kernel
def _update(
    g: Any, p: Any, m: Any, v: Any, beta1: Any, rest1: Any, beta2: Any, rest2: Any, root: Any, eps: Any, keep: Any, step: Any
) -> None:
    for i in range(p.size):
        m[i] = beta1 * m[i] + rest1 * g[i]  # (1)
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i]
        p[i] = keep * p[i] - step * m[i] / (np.sqrt(v[i]) * root + eps)  # (3)
