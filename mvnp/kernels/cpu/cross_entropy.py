"""The twin of mvnp/layers/cross_entropy.py: what there is for a sample stays in a core's cache.

Labels are not spread to distributions first. A number in brackets is an equation of the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .losses import a_number, distribution, log_softmax
from .mathematics import exp, type_of
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
