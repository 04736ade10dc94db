"""The twin of mvnp/layers/mesa.py: both predictions of a sample, and what lies between them, stay in a core's cache.

A number in brackets is an equation of the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .losses import a_number, log_softmax
from .mathematics import exp, type_of
from .operands import taken


def mesa_forward(logits: Array, teacher_logits: Array, temperature: float = 3.0, factor: float = 50.0) -> tuple[Array, tuple]:
    numbers = all(isinstance(value, float | int) and 0 < value < np.inf for value in (temperature, factor))
    if not taken(logits, teacher_logits) or logits.ndim != 2 or teacher_logits.shape != logits.shape or not numbers:
        return NotImplemented
    log_q, p = np.empty((2, *logits.shape), logits.dtype)
    both = np.ascontiguousarray(logits), np.ascontiguousarray(teacher_logits)
    apart = _forward(*both, logits.dtype.type(temperature), log_q, p)
    return logits.dtype.type(factor / len(p) * apart), (log_q, p, temperature, factor)


def mesa_backward(dloss: Array | float, cache: tuple) -> Array:
    log_q, p, temperature, factor = cache
    if not taken(log_q, p) or not a_number(dloss):
        return NotImplemented
    dlogits = np.empty_like(p)
    _backward(log_q, p, p.dtype.type(float(dloss) * factor / (len(p) * temperature)), dlogits)
    return dlogits


@kernel
def _forward(logits: Any, teacher_logits: Any, temperature: Any, log_q: Any, p: Any) -> float:
    """Σ_b Σ_c p (log p − log q) of (2), and log q and p of (1)."""
    T = type_of(temperature)
    B, C = p.shape
    apart = 0.0
    for b in range(B):
        for c in range(C):
            log_q[b, c] = logits[b, c] / temperature
            p[b, c] = teacher_logits[b, c] / temperature
        log_softmax(log_q[b], log_q[b])
        log_softmax(p[b], p[b])
        of_sample = T(0)
        for c in range(C):
            log_p = p[b, c]
            p[b, c] = exp(log_p)
            of_sample += T(0) if p[b, c] == T(0) else p[b, c] * (log_p - log_q[b, c])
        apart += of_sample
    return apart


@kernel
def _backward(log_q: Any, p: Any, scale: Any, dlogits: Any) -> None:
    B, C = p.shape
    for b in range(B):
        for c in range(C):
            dlogits[b, c] = scale * (exp(log_q[b, c]) - p[b, c])  # (3)
