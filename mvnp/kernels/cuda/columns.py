"""Sums over rows, for the twins of this folder: two launches for any number of rows. What each thread does stands in
columns.cu."""

from __future__ import annotations

from typing import Any

from ...backend import Array, array_module
from .launch import WARP, Kernels, accumulator_dtype, contiguous

KERNELS = Kernels("columns")
GROUP, MERGERS = 8, 16  # rows, or chunks, that a block takes side by side, as in columns.cu
CHUNKS = 512  # at most; of at least
CHUNK = 8 * GROUP  # rows
ACROSS, DOWN = 32, 8  # threads of a block that adds a bias: fours of columns, and rows
MOST_DOWN = 1024  # such blocks, one below the other


def cut(rows: int) -> tuple[int, int]:
    """Rows of a chunk, and number of chunks."""
    chunk = max(-(-rows // CHUNKS), CHUNK)
    return chunk, -(-rows // chunk)


def sum_rows(x: Array) -> Array:
    """Σ over all axes but the last, (..., C) to (C,). The sums are those of A, the result is of x's dtype."""
    C = x.shape[-1]
    rows = x.size // C
    chunk, chunks = cut(rows)
    sums = array_module(x).empty((1, chunks, C), accumulator_dtype(x.dtype))
    KERNELS.launch("chunk_sums", (-(-C // WARP), chunks), (WARP, GROUP), contiguous(x), sums, rows, C, chunk)
    return add_chunks(sums, x.dtype)[0]


def add_chunks(sums: Array, dtype: Any) -> Array:
    """Σ over the chunks, (k, chunks, C) to (k, C) of `dtype`."""
    k, chunks, C = sums.shape
    out = array_module(sums).empty((k, C), dtype)
    KERNELS.launch("add_chunks", (-(-C // WARP), k), (WARP, MERGERS), out, sums, chunks, C)
    return out


def add_bias(y: Array, bias: Array) -> None:
    """y (..., O) += bias (O,), in place."""
    O = y.shape[-1]
    rows = y.size // O
    grid = -(-O // (4 * ACROSS)), min(-(-rows // DOWN), MOST_DOWN)
    KERNELS.launch("add_bias", grid, (ACROSS, DOWN), y, contiguous(bias, y.dtype), rows, O)
