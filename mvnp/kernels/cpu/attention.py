"""The twin of mvnp/layers/attention.py: scores of a few heads at a time, which do not leave a core's cache.

The products stay with the matrix library. What array code does between them in passes over all scores, the scale, the mask and
the softmax, is one loop over the rows of those that have just been made, and these are then multiplied by v. In inference the
next heads take their place, so that no array of all scores is ever made.

A number in brackets is an equation of the layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...backend import Array
from ...layers.attention import AttentionCache, check_inputs, transposed
from .jit import kernel
from .mathematics import exp
from .rows import over_rows

SCORES = 1 << 17  # how many are worked on at once: half of a core's second cache
FORWARD, BACKWARD = 0.5, 0.3  # nanoseconds that a score takes beside the products, roughly
WIDE = 16  # maxima that are found side by side

Heads = tuple[slice, slice]  # of the axes B and h


def attention_forward(
    q: Array, k: Array, v: Array, mask: Array | None = None, dropout: Array | None = None, keep: bool = True
) -> tuple[Array, AttentionCache | None]:
    """o of (1) and its cache."""
    check_inputs(q, k, v, mask, dropout)
    (B, h, L, d), dtype = q.shape, q.dtype
    if not _taken(q, dropout):
        return NotImplemented
    o = np.empty((B, L, h, d), dtype).transpose(0, 2, 1, 3)  # in memory as the next layer wants it
    a = np.empty((B, h, L, L) if keep else _at_once(q), dtype)
    for heads in _some_heads(q):
        a_some = a[heads] if keep else a[tuple(slice(axis.stop - axis.start) for axis in heads)]
        np.matmul(q[heads], transposed(k[heads]), out=a_some)
        samples, n, _, _ = a_some.shape
        hidden = np.zeros((samples * n, 1), bool) if mask is None else np.repeat(~mask[heads[0]], n, axis=0)
        rows = a_some.reshape(-1, L, L), hidden
        over_rows(_softmax, rows, dtype.type(1 / math.sqrt(d)), cost=FORWARD * L * L)
        np.matmul(a_some if dropout is None else dropout[heads] * a_some, v[heads], out=o[heads])
    return o, AttentionCache(q, k, v, a, dropout) if keep else None


def attention_backward(do: Array, cache: AttentionCache) -> tuple[Array, Array, Array]:
    """dq, dk, dv of (3) and (4)."""
    q, k, v, a, dropout = cache
    (B, h, L, d), dtype = q.shape, q.dtype
    if not _taken(q, k, v, a, do, dropout) or do.shape != q.shape:
        return NotImplemented
    # In memory as the projection that they came from: (B, L, 3, h, d).
    dq, dk, dv = np.empty((B, L, 3, h, d), dtype).transpose(2, 0, 3, 1, 4)
    scratch = np.empty(_at_once(q), dtype)
    for heads in _some_heads(q):
        m = None if dropout is None else dropout[heads]
        ds = scratch[tuple(slice(axis.stop - axis.start) for axis in heads)]
        np.matmul(transposed(a[heads] if m is None else m * a[heads]), do[heads], out=dv[heads])  # (3)
        np.matmul(do[heads], transposed(v[heads]), out=ds)
        if m is not None:
            np.multiply(m, ds, out=ds)
        rows = ds.reshape(-1, L, L), np.ascontiguousarray(a[heads]).reshape(-1, L, L)
        over_rows(_softmax_gradient, rows, dtype.type(1 / math.sqrt(d)), cost=BACKWARD * L * L)
        np.matmul(ds, k[heads], out=dq[heads])  # (4)
        np.matmul(transposed(ds), q[heads], out=dk[heads])
    return dq, dk, dv


@kernel
def _softmax(s: Any, hidden: Any, scale: Any) -> None:
    """softmax(s · scale) in place of s (heads, L, L). hidden (heads, L or 1) is true at keys that nobody may see."""
    heads, L, _ = s.shape
    T = s.dtype.type
    highest = np.empty(WIDE, s.dtype)
    for i in range(heads):
        for j in range(L):
            row = s[i, j]
            if hidden.shape[1] == L:
                for c in range(L):
                    row[c] = T(-np.inf) if hidden[i, c] else row[c]
            highest[:] = row[0]
            for c in range(0, L - WIDE + 1, WIDE):
                for k in range(WIDE):
                    highest[k] = max(highest[k], row[c + k])
            for c in range(L // WIDE * WIDE, L):
                highest[0] = max(highest[0], row[c])
            m = highest[0]
            for k in range(1, WIDE):
                m = max(m, highest[k])
            total = T(0)
            for c in range(L):
                row[c] = exp((row[c] - m) * scale)
                total += row[c]
            total = T(1) / total
            for c in range(L):
                row[c] *= total


@kernel
def _softmax_gradient(da: Any, a: Any, scale: Any) -> None:
    """ds · scale in place of da, both (heads, L, L)."""
    heads, L, _ = a.shape
    for i in range(heads):
        for j in range(L):
            total = a.dtype.type(0)
            for c in range(L):
                total += da[i, j, c] * a[i, j, c]
            for c in range(L):
                da[i, j, c] = a[i, j, c] * (da[i, j, c] - total) * scale


def _taken(q: Array, *others: Array | None) -> bool:
    """Whether all are arrays of float32, or all of float64."""
    return q.dtype in (np.float32, np.float64) and all(x is None or x.dtype == q.dtype for x in others)


def _at_once(q: Array) -> tuple[int, int, int, int]:
    """The shape of the scores that are worked on at once: some heads of one sample, or all of some samples."""
    B, h, L, _ = q.shape
    heads = min(h, max(1, SCORES // (L * L)))
    return min(B, max(1, SCORES // (h * L * L))), heads, L, L


def _some_heads(q: Array) -> Iterator[Heads]:
    """All heads, so many at a time."""
    samples, heads, _, _ = _at_once(q)
    for b in range(0, q.shape[0], samples):
        for head in range(0, q.shape[1], heads):
            yield slice(b, min(b + samples, q.shape[0])), slice(head, min(head + heads, q.shape[1]))
