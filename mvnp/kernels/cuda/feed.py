"""The twin of mvnp/training/feed.py: stored pictures go up, and are mirrored, cut and standardised in one pass, by feed.cu.
CuPy copies through pinned memory of its own, and does not wait."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, array_module
from .launch import Kernels

KERNELS = Kernels("feed")


def prepared(like: Array, batch: Any, loader: Any) -> Array:
    """As in mvnp/training/feed.py."""
    images = batch.images
    if images.dtype != np.uint8 or not images.size:
        return NotImplemented
    xp, (B, H, W, C) = array_module(like), images.shape
    moves = np.stack([batch.mirrored, batch.top, batch.left], axis=1, dtype=np.int32)
    factor, shift = [1 / (255 * s) for s in loader.std], [-m / s for m, s in zip(loader.mean, loader.std, strict=True)]
    constants = xp.asarray(np.array([factor, shift], np.float32))
    x = xp.empty((B, C, H, W), np.float32)
    arrays = x, xp.asarray(np.ascontiguousarray(images)), xp.asarray(moves), constants[0], constants[1]
    padding = loader.crop_padding if loader.train else 0
    KERNELS.each("prepare", x.size, *arrays, H, W, C, padding, loader.crop_fill == "reflect")
    height, width = loader.sides
    if width != W:
        x = (x.reshape(-1, W) @ xp.asarray(loader.resize_matrix(W, width)).T).reshape(B, C, H, width)
    if height != H:
        columns = x.transpose(2, 0, 1, 3).reshape(H, -1)
        rows = xp.asarray(loader.resize_matrix(H, height)) @ columns
        x = rows.reshape(height, B, C, width).transpose(1, 2, 0, 3)
    return xp.ascontiguousarray(x)
