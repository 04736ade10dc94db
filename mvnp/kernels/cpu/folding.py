"""The twin of mvnp/models/folding.py: several cores scale the rows of the kernel. The number in brackets is that of the model's
file."""

from __future__ import annotations

import numpy as np

from ...backend import Array
from .operands import rows_times, taken


def folded(
    w: Array, b: Array | None, weight: Array, bias: Array, mean: Array, variance: Array, eps: float
) -> tuple[Array, Array]:
    vectors = [weight, bias, mean, variance] + ([] if b is None else [b])
    if not taken(w, *vectors) or any(vector.shape != w.shape[:1] for vector in vectors):
        return NotImplemented
    scale = weight / np.sqrt(variance + eps)
    shift = bias - mean * scale
    return rows_times(scale, w), shift if b is None else shift + b * scale  # (1)
