"""What the twins of losses share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .mathematics import exp, row_max, type_of
from .operands import taken


def distribution(logits: Array, target: Array, smoothing: float) -> Array:
    """p of (1) of cross_entropy.py, in row-major order; NotImplemented for what kernels do not take."""
    if not taken(logits) or logits.ndim != 2 or not 0.0 <= smoothing < 1.0 or not isinstance(target, np.ndarray):
        return NotImplemented
    T = logits.dtype.type
    p = np.empty(logits.shape, logits.dtype)
    if target.dtype == np.int64 and target.shape == logits.shape[:1]:
        in_range = _spread(np.ascontiguousarray(target), T(1 - smoothing), T(smoothing / logits.shape[1]), p)
        return p if in_range else NotImplemented
    if target.dtype.kind == "f" and target.shape == logits.shape:
        p[:] = (1 - smoothing) * target.astype(logits.dtype) + smoothing / logits.shape[1]
        return p
    return NotImplemented


def a_number(value: Any) -> bool:
    """Whether a loss's cotangent is a floating number."""
    array = isinstance(value, np.floating | np.ndarray)
    return isinstance(value, float) or (array and not value.shape and value.dtype.kind == "f")


@kernel
def _spread(labels: Any, at_label: Any, elsewhere: Any, p: Any) -> bool:
    """p, of labels; whether all are in range."""
    B, C = p.shape
    for b in range(B):
        if labels[b] < 0 or labels[b] >= C:
            return False
        for c in range(C):
            p[b, c] = elsewhere
        p[b, labels[b]] += at_label
    return True


@kernel
def log_softmax(z: Any, log_q: Any) -> None:
    """log softmax(z) of one sample; log_q may be z itself."""
    T = type_of(z[0])
    m = row_max(z)
    total = T(0)
    for c in range(len(z)):
        total += exp(z[c] - m)
    log_total = T(math.log(total))
    for c in range(len(z)):
        log_q[c] = z[c] - m - log_total
