"""Sums that many rows add to."""

from __future__ import annotations

from ..backend import Array


def sum_rows(x: Array, axes: int = 1) -> Array:
    """Σ over all axes but the last, (..., C) to (C,), or but the last `axes`. Summed in float64: 100,000 numbers in float32
    would lose their digits."""
    return x.sum(axis=tuple(range(x.ndim - axes)), dtype="float64").astype(x.dtype)
