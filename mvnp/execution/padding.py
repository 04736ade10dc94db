"""Some rows of a map with zeros around them: what the convolutions cut their patches from."""

from __future__ import annotations

from ..backend import Array, array_module
from .workspace import workspace


def padded_rows(name: str, x: Array, top: int, left: int, height: int, width: int) -> Array:
    """x from row `top` and column `−left` on, (n, height, width, C): zeros wherever that is outside of x (n, H, W, C).

    name     of the scratch memory that it is written to; see mvnp/execution/workspace.py
    width    at least left + W
    """
    n, H, W, C = x.shape
    padded = workspace(array_module(x), name, (n, height, width, C), x.dtype)
    padded[...] = 0
    first, last = max(top, 0), min(top + height, H)
    if first < last:  # else all of it is padding
        padded[:, first - top : last - top, left : left + W] = x[:, first:last]
    return padded
