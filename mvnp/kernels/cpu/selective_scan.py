"""The twin of mvnp/layers/selective_scan.py: array code makes arrays of all states, a loop over tokens needs those of one.

The states h (n, d) of a sample stay in a core's cache while the loop goes through the tokens. What a token does to them is one
pass over n·d numbers, the channels innermost, as they lie in memory.

Backwards the loop meets the states in the opposite order, so it takes them as checkpointed_scan.py does: one pass over the
tokens leaves the states before every block of K tokens; then for each block, the last one first, its states are worked out
again, and used while they are in the cache. Only dA, dD and the bias's gradient are sums over tokens: each sample has its own,
added up block by block, so that long sums keep their digits.

A number in brackets is an equation of the layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from ...core import ceil_sqrt
from ...layers.selective_scan import ScanCache, check_inputs
from .jit import inline, kernel
from .mathematics import exp, expm1, softplus
from .operands import taken
from .rows import over_rows

FORWARD, BACKWARD = 0.3, 0.8  # nanoseconds that a number of a state takes, roughly


def selective_scan_forward(
    x: Array,
    dt: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array,
    dt_bias: Array | None = None,
    *,
    softplus: bool = True,
    keep: bool = True,
) -> tuple[Array, ScanCache | None]:
    """y of (1) to (3) and the cache."""
    check_inputs(x, dt, A, B, C, D, dt_bias)
    if not taken(x):
        return NotImplemented
    bias = np.zeros_like(D) if dt_bias is None else dt_bias
    x, dt, B, C = (np.ascontiguousarray(array) for array in (x, dt, B, C))
    AT, skip, bias = np.ascontiguousarray(A.T), np.ascontiguousarray(D), np.ascontiguousarray(bias)
    y, delta = np.empty_like(x), np.empty_like(x)
    over_rows(_forward, (x, dt, B, C, y, delta), AT, skip, bias, softplus, cost=FORWARD * x[0].size * len(AT))
    return y, ScanCache(x, delta, A, B, C, D, softplus, dt_bias is not None) if keep else None


def selective_scan_backward(dy: Array, cache: ScanCache) -> tuple[Array, ...]:
    """dx, ddt, dA, dB, dC, dD, ddt_bias of (4) to (10)."""
    x, delta, A, B, C, D, softplus, has_bias, _ = cache
    if not taken(dy, x) or dy.shape != x.shape:
        return NotImplemented
    (b, l, d), n, dtype = x.shape, A.shape[1], x.dtype
    dy, x, delta, B, C = (np.ascontiguousarray(array) for array in (dy, x, delta, B, C))
    AT, skip = np.ascontiguousarray(A.T), np.ascontiguousarray(D)
    dx, ddt, dB, dC = np.empty_like(x), np.empty_like(x), np.empty_like(B), np.empty_like(C)
    sums = np.empty((b, n + 2, d))  # dA, dD and the bias's gradient of each sample
    K = ceil_sqrt(l)
    arrays = (dy, x, delta, B, C, dx, ddt, dB, dC, sums)
    over_rows(_backward, arrays, AT, skip, softplus, K, cost=BACKWARD * l * n * d)
    sums = sums.sum(axis=0).astype(dtype)
    return dx, ddt, sums[:-2].T, dB, dC, sums[-2], sums[-1] if has_bias else None


@inline
def _copy(source: Any, target: Any) -> None:
    """A loop: an assignment of arrays takes Numba seconds to compile, for shapes that might not fit."""
    for s in range(source.shape[0]):
        for c in range(source.shape[1]):
            target[s, c] = source[s, c]


@kernel
def _forward(x: Any, dt: Any, B: Any, C: Any, y: Any, delta: Any, AT: Any, D: Any, bias: Any, softplus_on: bool) -> None:
    b, l, d = x.shape
    n = len(AT)
    h = np.empty_like(AT)
    for i in range(b):
        h[:] = 0
        for t in range(l):
            for c in range(d):
                step = dt[i, t, c] + bias[c]
                delta[i, t, c] = softplus(step) if softplus_on else step  # (1)
                y[i, t, c] = D[c] * x[i, t, c]
            for s in range(n):
                for c in range(d):
                    step = delta[i, t, c]
                    h[s, c] = exp(step * AT[s, c]) * h[s, c] + step * B[i, t, s] * x[i, t, c]  # (2)
                    y[i, t, c] += C[i, t, s] * h[s, c]  # (3)


@kernel
def _backward(
    dy: Any, x: Any, delta: Any, B: Any, C: Any, dx: Any, ddt: Any, dB: Any, dC: Any, sums: Any,
    AT: Any, D: Any, softplus_on: bool, K: int,
) -> None:  # fmt: skip
    b, l, d = x.shape
    n, blocks = len(AT), (l + K - 1) // K
    kept = np.empty((blocks, n, d), x.dtype)  # the states before each block
    h = np.empty((K + 1, n, d), x.dtype)  # those of one block, and in h[0] those before it
    decay = np.empty((K, n, d), x.dtype)
    carry = np.empty((n, d), x.dtype)  # exp(Δ_(t+1) A) g_(t+1)
    into_state, into_decay = np.empty(d, x.dtype), np.empty(d, x.dtype)  # Σ_n g_t B_t, Σ_n e_t A
    total = np.empty((n + 2, d), x.dtype)  # dA, dD and the bias's gradient of one block
    for i in range(b):
        sums[i] = 0
        carry[:] = 0
        h[0] = 0
        for t in range(l):
            if t % K == 0:
                _copy(h[0], kept[t // K])
            for s in range(n):
                for c in range(d):
                    step = delta[i, t, c]
                    h[0, s, c] = exp(step * AT[s, c]) * h[0, s, c] + step * B[i, t, s] * x[i, t, c]  # (2)
        for block in range(blocks - 1, -1, -1):
            first, last = block * K, min(block * K + K, l)
            _copy(kept[block], h[0])
            for t in range(first, last):
                k = t - first
                for s in range(n):
                    for c in range(d):
                        step = delta[i, t, c]
                        decay[k, s, c] = exp(step * AT[s, c])
                        h[k + 1, s, c] = decay[k, s, c] * h[k, s, c] + step * B[i, t, s] * x[i, t, c]  # (2)
            total[:] = 0
            for t in range(last - 1, first - 1, -1):
                k = t - first
                into_state[:] = 0
                into_decay[:] = 0
                for s in range(n):
                    of_B = of_C = x.dtype.type(0)
                    for c in range(d):
                        g = C[i, t, s] * dy[i, t, c] + carry[s, c]  # (4)
                        carry[s, c] = decay[k, s, c] * g
                        e = carry[s, c] * h[k, s, c]  # (5)
                        total[s, c] += e * delta[i, t, c]  # (6)
                        of_B += g * delta[i, t, c] * x[i, t, c]  # (7)
                        of_C += dy[i, t, c] * h[k + 1, s, c]
                        into_state[c] += g * B[i, t, s]
                        into_decay[c] += e * AT[s, c]
                    dB[i, t, s], dC[i, t, s] = of_B, of_C
                for c in range(d):
                    dx[i, t, c] = delta[i, t, c] * into_state[c] + D[c] * dy[i, t, c]  # (8)
                    ddelta = into_decay[c] + x[i, t, c] * into_state[c]  # (9)
                    ddt[i, t, c] = -ddelta * expm1(-delta[i, t, c]) if softplus_on else ddelta  # (10)
                    total[n, c] += dy[i, t, c] * x[i, t, c]
                    total[n + 1, c] += ddt[i, t, c]
            for s in range(n + 2):
                for c in range(d):
                    sums[i, s, c] += total[s, c]
