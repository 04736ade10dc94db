"""What a twin asks of its arrays before its kernel takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .jit import kernel
from .rows import over_rows

DTYPES = np.dtype(np.float32), np.dtype(np.float64)


def taken(*arrays: Any) -> bool:
    """Whether all are NumPy arrays with something in them, of one dtype that kernels are compiled for."""
    dtype = getattr(arrays[0], "dtype", None)
    if dtype not in DTYPES:
        return False
    for array in arrays:  # noqa: SIM110 a generator takes three times as long, and each kernel asks this
        if not isinstance(array, np.ndarray) or array.dtype != dtype or not array.size:
            return False
    return True


def rows_of(x: np.ndarray, C: int | None = None) -> np.ndarray:
    """x as (rows, C), by default the last axis, in row-major order; a copy only where it lies otherwise."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1] if C is None else C)


def flat(x: np.ndarray) -> np.ndarray:
    """x as (numbers,), in row-major order."""
    return np.ascontiguousarray(x).reshape(-1)


def each_number(loop: Callable[..., None], *arrays: np.ndarray, cost: float) -> Any:
    """y of loop(*arrays, y), whose numbers depend on the same number of each array; NotImplemented where these do not fit.

    cost    nanoseconds that one number takes on one core, roughly
    """
    x = arrays[0]
    if not taken(*arrays) or any(array.shape != x.shape for array in arrays):
        return NotImplemented
    y = np.empty(x.shape, x.dtype)
    over_rows(loop, (*map(flat, arrays), y.reshape(-1)), cost=cost)
    return y


def rows_times(numbers: np.ndarray, x: np.ndarray) -> np.ndarray:
    """x, what lies along its leading axis times a number each."""
    y = np.empty(x.shape, x.dtype)
    rows = rows_of(x, x.size // len(x))
    over_rows(_rows_times, (np.ascontiguousarray(numbers), rows, y.reshape(len(x), -1)), cost=0.1 * rows.shape[1])
    return y


@kernel
def _rows_times(numbers: Any, x: Any, y: Any) -> None:
    for row in range(len(x)):
        for c in range(x.shape[1]):
            y[row, c] = numbers[row] * x[row, c]


def total(sums: np.ndarray) -> np.ndarray:
    """Σ over the blocks, (blocks, ...) to (...), in float64; given back in the dtype of the sums."""
    result = np.zeros(sums[0].size)
    _total(sums.reshape(len(sums), -1), result)
    return result.reshape(sums.shape[1:]).astype(sums.dtype)


@kernel
def _total(sums: Any, result: Any) -> None:
    for block in range(len(sums)):
        for c in range(sums.shape[1]):
            result[c] += np.float64(sums[block, c])
