"""The twin of mvnp/layers/linear.py: all rows in one product of two matrices, which the matrix library runs at its full rate.

Where the rows are few (the last stage of a model, one image at a time), most of the time goes into reading the weight. Then
W xᵀ, the transpose of what is wanted, takes two thirds of the time of x Wᵀ, turning it round included.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .rows import BLOCK, blocks_of, over_rows

FEW_ROWS = 128  # measured: 49 rows take 0.7 of the time, 98 rows 0.9, 196 rows the same


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """y of (1), and the cache."""
    if not _fit(x, weight, bias):
        return NotImplemented
    rows = x.reshape(-1, x.shape[-1])
    y = rows @ weight.T if len(rows) > FEW_ROWS else np.ascontiguousarray((weight @ rows.T).T)
    if bias is not None:
        np.add(y, bias, out=y)
    return y.reshape(*x.shape[:-1], -1), (x, weight, bias is not None)


def linear_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """dx, dweight, dbias of (2)."""
    x, weight, has_bias = cache
    if not _fit(x, weight) or dy.shape != (*x.shape[:-1], len(weight)) or dy.dtype != x.dtype:
        return NotImplemented
    rows = dy.reshape(-1, dy.shape[-1])
    dx, dweight = (rows @ weight).reshape(x.shape), rows.T @ x.reshape(-1, x.shape[-1])
    return dx, dweight, column_sums(rows) if has_bias else None


def column_sums(rows: np.ndarray) -> np.ndarray:
    """Σ over the rows: those of a block in the rows' dtype, blocks in float64, so that long sums keep their digits."""
    sums = np.empty((blocks_of(len(rows)), rows.shape[1]), rows.dtype)
    over_rows(_block_sums, (np.ascontiguousarray(rows),), BLOCK, cost=0.1 * rows.shape[1], sums=(sums,))
    return sums.sum(axis=0, dtype=np.float64).astype(rows.dtype)


@kernel
def _block_sums(rows: Any, sums: Any, size: int) -> None:
    sums[:] = 0
    for r in range(len(rows)):
        for c in range(rows.shape[1]):
            sums[r // size, c] += rows[r, c]


def _fit(x: Array, weight: Array, bias: Array | None = None) -> bool:
    """Whether all are of float32, or all of float64, and the shapes fit each other."""
    others = [weight] if bias is None else [weight, bias]
    if x.dtype not in (np.float32, np.float64) or not all(isinstance(v, np.ndarray) and v.dtype == x.dtype for v in others):
        return False
    return x.size > 0 and x.shape[-1:] == weight.shape[1:] and (bias is None or bias.shape == weight.shape[:1])
