"""The twin of mvnp/layers/binary_cross_entropy.py: one exponential and one logarithm a question serve both answers.

A number in brackets is an equation of the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .losses import a_number, distribution
from .mathematics import sigmoid, softplus, type_of
from .operands import taken


def binary_cross_entropy_forward(
    logits: Array, target: Array, smoothing: float = 0.0, threshold: float | None = None, summed: bool = False
) -> tuple[Array, tuple]:
    p = distribution(logits, target, smoothing)
    if p is NotImplemented or not (threshold is None or 0.0 <= threshold < 1.0):
        return NotImplemented
    if threshold is not None:
        p = (p > threshold).astype(p.dtype)
    logits, n = np.ascontiguousarray(logits), len(logits) if summed else logits.size
    return p.dtype.type(_forward(logits, p) / n), (logits, p, n)


def binary_cross_entropy_backward(dloss: Array | float, cache: tuple) -> Array:
    logits, p, n = cache
    if not taken(logits, p) or not a_number(dloss):
        return NotImplemented
    dlogits = np.empty_like(p)
    _backward(np.ascontiguousarray(logits), p, p.dtype.type(float(dloss) / n), dlogits)
    return dlogits


@kernel
def _forward(logits: Any, p: Any) -> float:
    """The sum of (2)."""
    T = type_of(p[0, 0])
    B, C = p.shape
    loss = 0.0
    for b in range(B):
        of_sample = T(0)
        for c in range(C):
            z = logits[b, c]
            rest = softplus(-abs(z))
            yes, no = rest + max(-z, T(0)), rest + max(z, T(0))  # −log q, −log (1 − q)
            of_sample += T(0) if p[b, c] == T(0) else p[b, c] * yes
            of_sample += T(0) if p[b, c] == T(1) else (T(1) - p[b, c]) * no
        loss += of_sample
    return loss


@kernel
def _backward(logits: Any, p: Any, scale: Any, dlogits: Any) -> None:
    B, C = p.shape
    for b in range(B):
        for c in range(C):
            dlogits[b, c] = scale * (sigmoid(logits[b, c]) - p[b, c])  # (3)
