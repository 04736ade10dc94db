"""A map as fine as the image, summed over cells."""

from __future__ import annotations

import numpy as np

CELLS = 14  # along the longer side of an image


def cell_side(size: tuple[int, int], cells: int = CELLS) -> int:
    """The side of square cells of which about `cells` fit along the longer side of an image (H, W)."""
    return max(1, round(max(size) / cells))


def cell_sums(values: np.ndarray, side: int) -> np.ndarray:
    """A map (H, W) summed over square cells. The sum of all stays the same.

    Where cells do not divide the map, those at its right and lower edge are cut off.
    """
    rows, columns = (np.arange(0, length, side) for length in values.shape)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
