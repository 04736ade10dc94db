"""The twin of mvnp/layers/linear_recurrence.py, of its sequential way: array code calls the interpreter twice a step, a loop
does not. The other ways save steps at the price of passes over memory; here they have nothing to save, and stay array code.

A number in brackets is an equation of the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import kernel
from .operands import taken


def linear_recurrence_forward(
    decay: Array, inputs: Array, start: Array | None = None, method: str = "sequential"
) -> tuple[Array, tuple]:
    """All states of (1), and the cache."""
    if method != "sequential" or not _fit(decay, inputs, start):
        return NotImplemented
    h = np.empty(inputs.shape, inputs.dtype)
    _states(_steps(decay), _steps(inputs), _start(decay, start), h.reshape(len(h), -1))
    return h, (decay, h, start, method)


def linear_recurrence_backward(dh: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """da, du and dh_(−1) of (3)."""
    a, h, start, method = cache
    if method != "sequential" or not _fit(a, dh, start):
        return NotImplemented
    da, g, carry = np.empty(a.shape, a.dtype), np.empty(a.shape, a.dtype), np.zeros(a.shape[1:], a.dtype)
    arrays = (_steps(dh), _steps(a), _steps(h), _start(a, start), _steps(da), _steps(g), carry.reshape(-1))
    _gradients(*arrays)
    return da, g, None if start is None else carry


@kernel
def _states(a: Any, u: Any, start: Any, h: Any) -> None:
    k, m = a.shape
    for t in range(k):
        for i in range(m):
            h[t, i] = a[t, i] * (h[t - 1, i] if t else start[i]) + u[t, i]  # (1)


@kernel
def _gradients(dh: Any, a: Any, h: Any, start: Any, da: Any, g: Any, carry: Any) -> None:
    k, m = a.shape
    for t in range(k - 1, -1, -1):
        for i in range(m):
            g[t, i] = dh[t, i] + carry[i]  # (2)
            da[t, i] = g[t, i] * (h[t - 1, i] if t else start[i])  # (3)
            carry[i] = a[t, i] * g[t, i]


def _steps(array: Array) -> np.ndarray:
    """(k, ...) as (k, m), contiguous."""
    return np.ascontiguousarray(array).reshape(len(array), -1)


def _start(like: Array, start: Array | None) -> np.ndarray:
    return np.zeros(like[0].size, like.dtype) if start is None else np.ascontiguousarray(start).reshape(-1)


def _fit(a: Array, u: Array, start: Array | None) -> bool:
    """Whether all are of one dtype that there is a kernel for, and the shapes fit each other."""
    if not taken(a, u, *([] if start is None else [start])):
        return False
    return a.ndim > 0 and a.shape == u.shape and (start is None or start.shape == a.shape[1:])
