"""The twin of mvnp/layers/cross_entropy.py: what there is for a sample stays in a core's cache.

Labels are not spread to distributions first. A number in brackets is an equation of the layer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .mathematics import exp, row_max, type_of
from .operands import taken


def cross_entropy_forward(logits: Array, target: Array, smoothing: float = 0.0) -> tuple[Array, tuple]:
    p = distribution(logits, target, smoothing)
    if p is NotImplemented:
        return NotImplemented
    log_q = np.empty_like(p)
    return p.dtype.type(_forward(np.ascontiguousarray(logits), p, log_q)), (log_q, p)


def cross_entropy_backward(dloss: Array | float, cache: tuple) -> Array:
    log_q, p = cache
    if not taken(log_q, p) or not a_number(dloss):
        return NotImplemented
    dlogits = np.empty_like(p)
    _backward(log_q, p, p.dtype.type(float(dloss) / len(p)), dlogits)
    return dlogits


def distribution(logits: Array, target: Array, smoothing: float) -> Array:
    """p of (1), in row-major order."""
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
    """p of (1); whether all labels are in range."""
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
    """log q of the docstring, of one sample; log_q may be z itself."""
    T = type_of(z[0])
    m = row_max(z)
    total = T(0)
    for c in range(len(z)):
        total += exp(z[c] - m)
    log_total = T(math.log(total))
    for c in range(len(z)):
        log_q[c] = z[c] - m - log_total


@kernel
def _forward(logits: Any, p: Any, log_q: Any) -> float:
    T = type_of(p[0, 0])
    B, C = p.shape
    loss = 0.0
    for b in range(B):
        log_softmax(logits[b], log_q[b])
        of_sample = T(0)
        for c in range(C):
            of_sample += T(0) if p[b, c] == T(0) else p[b, c] * log_q[b, c]
        loss -= of_sample  # (2)
    return loss / B


@kernel
def _backward(log_q: Any, p: Any, scale: Any, dlogits: Any) -> None:
    B, C = p.shape
    for b in range(B):
        total = type_of(scale)(0)
        for c in range(C):
            total += p[b, c]
        for c in range(C):
            dlogits[b, c] = scale * (exp(log_q[b, c]) * total - p[b, c])  # (3)
