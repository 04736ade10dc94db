"""The twin of mvnp/layers/conv1d.py: the taps of a token, and the SiLU behind them, while its numbers are in the cache. A
number in brackets is an equation of the layer.

x and dy are often some columns of a wider array. They are read where they stand: as all of the memory that they lie in, with
the distances of two samples and of two tokens. Kernels index it with unsigned integers, which do not count from the end: so the
compiler makes vector code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from .jit import inline, kernel
from .mathematics import sigmoid
from .operands import taken, total
from .rows import BLOCK, blocks_of

U = np.uintp


def conv1d_forward(
    x: Array, weight: Array, bias: Array | None = None, silu: bool = False, causal: bool = False
) -> tuple[Array, tuple]:
    if not _fit(x, weight, bias):
        return NotImplemented
    y = np.empty(x.shape, x.dtype)
    _forward(*_memory(x), *_parameters(weight, bias), y, bool(silu), _p(weight, causal))
    return y, (x, weight, bias, silu, causal)


def conv1d_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    x, weight, bias, silu, causal = cache
    if not _fit(x, weight, bias) or not taken(dy, x) or dy.shape != x.shape:
        return NotImplemented
    B, L, D = x.shape
    w, b = _parameters(weight, bias)
    dx, dv = np.empty(x.shape, x.dtype), np.empty((L, D), x.dtype)
    sums = np.zeros((B, blocks_of(L), len(w) + 1, D), x.dtype)  # of BLOCK tokens each
    _backward(*_memory(dy), *_memory(x), w, b, dv, dx, sums, bool(silu), _p(weight, causal))
    sums = total(sums.reshape(-1, *sums.shape[2:]))
    return dx, sums[:-1].T[:, None], None if bias is None else sums[-1]


def _fit(x: Array, weight: Array, bias: Array | None) -> bool:
    """Whether kernels can take them."""
    arrays = (x, weight) if bias is None else (x, weight, bias)
    if not taken(*arrays) or x.ndim != 3 or weight.ndim != 3 or weight.shape[:2] != (x.shape[2], 1):
        return False
    return bias is None or bias.shape == x.shape[2:]


def _p(weight: Array, causal: bool) -> int:
    """How far the first tap looks back."""
    K = weight.shape[2]
    return K - 1 if causal else (K - 1) // 2


def _parameters(weight: Array, bias: Array | None) -> tuple[Array, Array]:
    """The taps (K, D), and a bias in any case."""
    D = len(weight)
    return np.ascontiguousarray(weight[:, 0].T), np.zeros(D, weight.dtype) if bias is None else np.ascontiguousarray(bias)


def _memory(x: Array) -> tuple[Array, int, int]:
    """All of the memory that x (B, L, D) lies in, on one axis, and how far apart two samples and two tokens are; of a copy
    where the channels of a token are no neighbours."""
    if x.strides[2] != x.itemsize or min(x.strides) < 0 or any(stride % x.itemsize for stride in x.strides):
        x = np.ascontiguousarray(x)
    samples, tokens = x.strides[0] // x.itemsize, x.strides[1] // x.itemsize
    span = (x.shape[0] - 1) * samples + (x.shape[1] - 1) * tokens + x.shape[2]
    return np.lib.stride_tricks.as_strided(x, (span,), (x.itemsize,)), samples, tokens


@inline
def _taps(x: Any, start: Any, apart: Any, t: Any, L: Any, weight: Any, bias: Any, p: Any, v: Any) -> None:
    """v of (1) for token t of the sample that begins at `start`."""
    K, D = weight.shape
    for d in range(D):
        v[d] = bias[d]
    for k in range(K):
        s = t + k - p
        if 0 <= s < L:
            at = U(start + s * apart)
            for d in range(U(D)):
                v[d] += weight[k, d] * x[at + d]


@kernel
def _forward(x: Any, samples: Any, apart: Any, weight: Any, bias: Any, y: Any, silu: Any, p: Any) -> None:
    B, L, D = y.shape
    for n in range(B):
        for t in range(L):
            v = y[n, t]
            _taps(x, n * samples, apart, t, L, weight, bias, p, v)  # (1)
            if silu:
                for d in range(D):
                    v[d] = v[d] * sigmoid(v[d])  # (4)


@kernel
def _backward(
    dy: Any, dy_samples: Any, dy_apart: Any, x: Any, samples: Any, apart: Any,
    weight: Any, bias: Any, dv: Any, dx: Any, sums: Any, silu: Any, p: Any,
) -> None:  # fmt: skip
    B, L, D = dx.shape
    K = len(weight)
    T = dv.dtype.type
    one, zero = T(1), T(0)
    for n in range(B):
        for t in range(L):
            at, v = U(n * dy_samples + t * dy_apart), dv[t]
            if silu:
                _taps(x, n * samples, apart, t, L, weight, bias, p, v)
                for d in range(U(D)):
                    gate = sigmoid(v[d])
                    v[d] = dy[at + d] * gate * (one + v[d] * (one - gate))  # (4)
            else:
                for d in range(U(D)):
                    v[d] = dy[at + d]
        for s in range(L):
            here = dx[n, s]
            for d in range(D):
                here[d] = zero
            for k in range(K):
                t = s - k + p
                if 0 <= t < L:
                    v = dv[t]
                    for d in range(D):
                        here[d] += weight[k, d] * v[d]  # (2)
        for t in range(L):
            v, to = dv[t], sums[n, t // BLOCK]
            for k in range(K):
                s = t + k - p
                if 0 <= s < L:
                    at = U(n * samples + s * apart)
                    for d in range(U(D)):
                        to[k, d] += v[d] * x[at + d]
            for d in range(D):
                to[K, d] += v[d]  # (3)
