"""The twin of mvnp/layers/linear.py: all rows in one product of two matrices. Where they are many the matrix library runs it at
its full rate; of few rows (the last stages of a model, one image at a time) it does not, and product.py computes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .operands import taken
from .product import linear
from .rows import BLOCK, blocks_of, over_rows

FEW_ROWS = 1024  # measured: here as fast as the matrix library, at 196 and 49 rows 1.1 to 1.5 times as fast


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """y of (1), and the cache."""
    if not _fit(x, weight, bias):
        return NotImplemented
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) > FEW_ROWS:
        y = rows @ weight.T
        if bias is not None:
            np.add(y, bias, out=y)
    else:
        offset = None if bias is None else np.ascontiguousarray(bias)
        y = linear(np.ascontiguousarray(rows), np.ascontiguousarray(weight), offset)
    return y.reshape(*x.shape[:-1], -1), (x, weight, bias is not None)


def linear_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2)."""
    x, weight, has_bias = cache
    if not _fit(x, weight) or not taken(dy, x) or dy.shape != (*x.shape[:-1], len(weight)):
        return NotImplemented
    rows = dy.reshape(-1, dy.shape[-1])
    dx, dweight = (rows @ weight).reshape(x.shape), rows.T @ x.reshape(-1, x.shape[-1])
    return dx, dweight, _column_sums(rows) if has_bias else None


@kernel
def _block_sums(rows: Any, sums: Any, size: int) -> None:
    sums[:] = 0
    for r in range(len(rows)):
        for c in range(rows.shape[1]):
            sums[r // size, c] += rows[r, c]


def _column_sums(rows: np.ndarray) -> np.ndarray:
    """Σ over the rows: those of a block in the rows' dtype, blocks in float64, so that long sums keep their digits."""
    sums = np.empty((blocks_of(len(rows)), rows.shape[1]), rows.dtype)
    over_rows(_block_sums, (np.ascontiguousarray(rows),), BLOCK, cost=0.1 * rows.shape[1], sums=(sums,))
    return sums.sum(axis=0, dtype=np.float64).astype(rows.dtype)


def _fit(x: Array, weight: Array, bias: Array | None = None) -> bool:
    """Whether all are of one dtype that there is a kernel for, and the shapes fit each other."""
    if not taken(x, weight, *([] if bias is None else [bias])):
        return False
    return weight.ndim == 2 and x.shape[-1:] == weight.shape[1:] and (bias is None or bias.shape == weight.shape[:1])
