"""Formulas over large arrays, worked out block by block.

A formula like x σ(x) makes several passes over its operands, and each pass over an array that is larger than the cache goes
to main memory and back. Cut into blocks of rows that stay in a core's cache, all passes but the first read and the last
write are served from there; and the temporary arrays are small, so that the same memory is used again and again. The formula
itself stays as it is in a book.

On a GPU there is nothing to gain this way: there, and for small arrays, the formula is applied to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..backend import Array, array_module

# Numbers in a block: with the few temporaries of a formula, about what a core's second-level cache holds. In smaller blocks
# threads get into each other's way: whoever begins an operation needs Python's lock, and waking up for it takes microseconds.
BLOCK = 1 << 16


def blockwise(formula: Callable[..., Any], *arrays: Array) -> Any:
    """formula(*arrays), where each row of the results (over the last axis) depends on the same row of the arrays only.

    formula    takes and gives arrays (rows, ...), or a tuple of them, for any number of rows
    arrays     (..., C), with the same leading axes, which the results have too
    """
    if not in_blocks(arrays[0]):
        return formula(*arrays)
    leading = arrays[0].shape[:-1]
    rows = [as_rows(array) for array in arrays]
    results: list[Array] = []
    for part in row_blocks(arrays[0]):
        values, single = _as_tuple(formula(*(array[part] for array in rows)))
        if not results:
            results = [np.empty((len(rows[0]), *value.shape[1:]), value.dtype) for value in values]
        for result, value in zip(results, values, strict=True):
            result[part] = value
    results = [result.reshape(*leading, *result.shape[1:]) for result in results]
    return results[0] if single else tuple(results)


def sum_rows(formula: Callable[..., Any], *arrays: Array) -> Any:
    """Σ over all rows of formula(*arrays), an array (..., C) or a tuple of them: (C,), or a tuple."""
    rows = [as_rows(array) for array in arrays]
    sums: list[Array] = []
    for part in row_blocks(arrays[0]):
        values, single = _as_tuple(formula(*(array[part] for array in rows)))
        block = [column_sums(value) for value in values]
        sums = [total + more for total, more in zip(sums, block, strict=True)] if sums else block
    return sums[0] if single else tuple(sums)


def column_sums(rows: Array) -> Array:
    """Σ over the rows (rows, C), as a product with ones: the matrix library reads at full rate, `sum(axis=0)` does not."""
    return array_module(rows).ones(len(rows), rows.dtype) @ rows


def in_blocks(x: Array) -> bool:
    """Whether cutting x into blocks is worth it: a NumPy array that is larger than one."""
    return x.size > BLOCK and x.ndim > 1 and array_module(x) is np


def as_rows(x: Array) -> Array:
    """x as (rows, C)."""
    return x.reshape(-1, x.shape[-1])


def row_blocks(x: Array) -> Iterator[slice]:
    """Slices of the rows of x, each with about BLOCK numbers; one for all where blocks are not worth it."""
    count = x.size // x.shape[-1]
    step = max(1, BLOCK // x.shape[-1]) if in_blocks(x) else count
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def sample_blocks(x: Array) -> Iterator[slice]:
    """Slices of the leading axis, each with about BLOCK numbers or one sample; one for all where blocks are not worth it."""
    step = max(1, BLOCK * len(x) // x.size) if in_blocks(x) else len(x)
    return (slice(start, min(start + step, len(x))) for start in range(0, len(x), step))


def _as_tuple(values: Any) -> tuple[tuple, bool]:
    """What a formula gave as a tuple, and whether it was a single array."""
    return (values, False) if isinstance(values, tuple) else ((values,), True)
