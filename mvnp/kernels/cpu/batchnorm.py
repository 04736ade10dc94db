"""The twins of the passes of mvnp/layers/batchnorm.py: what goes over all of x. What there is for a channel stays array code.

A number in brackets is an equation of the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .mathematics import in_whole, type_of
from .operands import rows_of, taken, total
from .rows import BLOCK, blocks_of, over_rows

COST = 0.2  # nanoseconds for a number


def batchnorm_eval_forward(
    x: Array, weight: Array, bias: Array, mean: Array, variance: Array, eps: float = 1e-5
) -> tuple[Array, tuple]:
    if not _taken((x,), (mean, variance, weight, bias)):
        return NotImplemented
    y, rstd = np.empty(x.shape, x.dtype), 1 / np.sqrt(variance + eps)
    over_rows(_standardise, (rows_of(x), rows_of(y)), *_contiguous(mean, rstd * weight, bias), cost=COST * x.shape[-1])
    return y, (x, weight, mean, rstd)


def input_gradient(dy: Array, x: Array, mean: Array, rstd: Array, weight: Array, mean_g: Array, mean_g_x_hat: Array) -> Array:
    if not _taken((dy, x), (mean, rstd, weight, mean_g, mean_g_x_hat)):
        return NotImplemented
    dx = np.empty(x.shape, x.dtype)
    constants = _contiguous(mean, rstd * weight, rstd * mean_g, rstd * rstd * mean_g_x_hat)
    over_rows(_input_gradient, (rows_of(dy), rows_of(x), rows_of(dx)), *constants, cost=COST * x.shape[-1])
    return dx


def parameter_gradients(dy: Array, x: Array, mean: Array, rstd: Array) -> tuple[Array, Array]:
    if not _taken((dy, x), (mean, rstd)):
        return NotImplemented
    rows, C = rows_of(x), x.shape[-1]
    sums = np.zeros((blocks_of(len(rows)), 2, C), x.dtype)
    over_rows(_parameter_gradients, (rows_of(dy), rows), *_contiguous(mean), cost=COST * C, sums=(sums,))
    of_product, dbias = total(sums)
    return of_product * rstd, dbias


def batchnorm_eval_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array]:
    x, weight, mean, rstd = cache
    if not _taken((dy, x), (mean, rstd, weight)):
        return NotImplemented
    rows, C = rows_of(x), x.shape[-1]
    dx, sums = np.empty(x.shape, x.dtype), np.zeros((blocks_of(len(rows)), 2, C), x.dtype)
    arrays = rows_of(dy), rows, rows_of(dx)
    over_rows(_eval_backward, arrays, *_contiguous(mean, rstd * weight), cost=COST * C, sums=(sums,))
    of_product, dbias = total(sums)
    return dx, of_product * rstd, dbias


def moments(x: Array) -> tuple[int, Array, Array]:
    """Of blocks that stay in the cache, put together."""
    if not taken(x) or x.ndim == 0:
        return NotImplemented
    rows, C = rows_of(x), x.shape[-1]
    of_blocks = np.zeros((blocks_of(len(rows)), 2, C), x.dtype)
    over_rows(_moments, (rows,), cost=COST * C, sums=(of_blocks,))
    merged = np.zeros((2, C))
    _merge(of_blocks, len(rows), merged)
    mean, squares = merged.astype(x.dtype)
    return len(rows), mean, squares


def _taken(maps: tuple, of_channels: tuple) -> bool:
    if not taken(*maps, *of_channels) or maps[0].ndim == 0:
        return False
    shape = maps[0].shape
    return all(array.shape == shape for array in maps) and all(array.shape == shape[-1:] for array in of_channels)


def _contiguous(*arrays: Array) -> list[Array]:
    return [np.ascontiguousarray(array) for array in arrays]


@kernel
def _standardise(x: Any, y: Any, mean: Any, scale: Any, bias: Any) -> None:
    R, C = x.shape
    for i in range(R):
        for c in range(C):
            y[i, c] = (x[i, c] - mean[c]) * scale[c] + bias[c]  # (1), with γ r as the scale


@kernel
def _input_gradient(dy: Any, x: Any, dx: Any, mean: Any, scale: Any, of_g: Any, of_x: Any) -> None:
    R, C = x.shape
    for i in range(R):
        for c in range(C):
            dx[i, c] = scale[c] * dy[i, c] - of_g[c] - (x[i, c] - mean[c]) * of_x[c]  # (2): γ r, r ⟨g⟩ and r² ⟨g x̂⟩


@kernel
def _parameter_gradients(dy: Any, x: Any, sums: Any, mean: Any) -> None:
    """(3), but for r. Four rows at a time, so that a sum is read and written for each four numbers."""
    R, C = x.shape
    for block in range(len(sums)):
        of_product, of_dy = sums[block, 0], sums[block, 1]
        begin, end = block * BLOCK, min(block * BLOCK + BLOCK, R)
        fours = begin + in_whole(end - begin, 4)
        for i in range(begin, fours, 4):
            for c in range(C):
                m = mean[c]
                d0, d1, d2, d3 = dy[i, c], dy[i + 1, c], dy[i + 2, c], dy[i + 3, c]
                of_product[c] += (d0 * (x[i, c] - m) + d1 * (x[i + 1, c] - m)) + (
                    d2 * (x[i + 2, c] - m) + d3 * (x[i + 3, c] - m)
                )
                of_dy[c] += (d0 + d1) + (d2 + d3)
        for i in range(fours, end):
            for c in range(C):
                of_product[c] += dy[i, c] * (x[i, c] - mean[c])
                of_dy[c] += dy[i, c]


@kernel
def _eval_backward(dy: Any, x: Any, dx: Any, sums: Any, mean: Any, scale: Any) -> None:
    R, C = x.shape
    for block in range(len(sums)):
        for i in range(block * BLOCK, min(block * BLOCK + BLOCK, R)):
            for c in range(C):
                dx[i, c] = scale[c] * dy[i, c]  # (4)
                sums[block, 0, c] += dy[i, c] * (x[i, c] - mean[c])  # (3), but for r
                sums[block, 1, c] += dy[i, c]


@kernel
def _moments(x: Any, of_blocks: Any) -> None:
    T = type_of(x[0, 0])
    R, C = x.shape
    for block in range(len(of_blocks)):
        begin, end = block * BLOCK, min(block * BLOCK + BLOCK, R)
        mean, squares = of_blocks[block, 0], of_blocks[block, 1]
        for i in range(begin, end):
            for c in range(C):
                mean[c] += x[i, c] - x[begin, c]  # nothing, where all are equal: their mean is exact so
        for c in range(C):
            mean[c] = x[begin, c] + mean[c] / T(end - begin)
        for i in range(begin, end):
            for c in range(C):
                squares[c] += (x[i, c] - mean[c]) * (x[i, c] - mean[c])


@kernel
def _merge(of_blocks: Any, R: int, merged: Any) -> None:
    """As `merged` of mvnp/core/moments.py, in float64."""
    C = of_blocks.shape[2]
    mean, squares = merged[0], merged[1]
    for c in range(C):
        mean[c] = of_blocks[0, 0, c]
    for block in range(1, len(of_blocks)):
        n = min(BLOCK, R - block * BLOCK)
        for c in range(C):
            mean[c] += n / R * (np.float64(of_blocks[block, 0, c]) - np.float64(of_blocks[0, 0, c]))
    for block in range(len(of_blocks)):
        n = min(BLOCK, R - block * BLOCK)
        for c in range(C):
            distance = of_blocks[block, 0, c] - mean[c]
            squares[c] += of_blocks[block, 1, c] + n * distance * distance
