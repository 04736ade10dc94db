"""The twin of mvnp/layers/attention.py: scores of a few heads at a time, which do not leave a core's cache.

What array code does between the products in passes over all scores, the scale, the mask and the softmax, is one loop over the
rows of those that have just been made, and these are then multiplied by v. In inference all of it is one kernel, in which the
scores of the next head take the place of those of the one before. Where a backward follows, the products stay with the matrix
library.

A number in brackets is an equation of the layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...backend import Array
from ...execution.parallel import run, threads
from ...layers.attention import AttentionCache, check_inputs, transposed
from .jit import kernel
from .mathematics import exp, row_max
from .operands import taken
from .product import U, any_rows, multiply, new_panel, new_sums
from .rows import over_rows

SCORES = 1 << 17  # how many are worked on at once: half of a core's second cache
LEAST = 1e5  # nanoseconds: what is over sooner is not cut
COST = 2.0  # nanoseconds that a score takes, roughly

Heads = tuple[slice, slice]  # of the axes B and h


def attention_forward(
    q: Array, k: Array, v: Array, mask: Array | None = None, dropout: Array | None = None, keep: bool = True
) -> tuple[Array, AttentionCache | None]:
    """o of (1) and its cache."""
    check_inputs(q, k, v, mask, dropout)
    (B, h, L, d), dtype = q.shape, q.dtype
    if not taken(q, *([] if dropout is None else [dropout])):
        return NotImplemented
    o = np.empty((B, L, h, d), dtype).transpose(0, 2, 1, 3)  # in memory as the next layer wants it
    hidden = np.zeros((B, 1), bool) if mask is None else ~mask
    scale = dtype.type(1 / math.sqrt(d))
    if not keep and dropout is None and taken(q, k, v):
        q, k, v = (x if x.strides[3] == x.itemsize else np.ascontiguousarray(x) for x in (q, k, v))
        over_rows(_attend, (np.arange(B * h),), q, k, v, hidden, scale, o, cost=L * L * (COST + 0.02 * d))
        return o, None
    a = np.empty((B, h, L, L), dtype)

    def work(heads: Heads) -> None:
        a_some = a[heads]
        np.matmul(q[heads], transposed(k[heads]), out=a_some)
        _softmax(a_some.reshape(-1, L, L), np.repeat(hidden[heads[0]], a_some.shape[1], axis=0), scale)
        np.matmul(a_some if dropout is None else dropout[heads] * a_some, v[heads], out=o[heads])

    _over_heads(work, q)
    return o, AttentionCache(q, k, v, a, dropout) if keep else None


def attention_backward(do: Array, cache: AttentionCache) -> tuple[Array, Array, Array]:
    """dq, dk, dv of (2) and (3)."""
    q, k, v, a, dropout = cache
    (B, h, L, d), dtype = q.shape, q.dtype
    if not taken(do, q, a, *([] if dropout is None else [dropout])) or do.shape != q.shape:
        return NotImplemented
    # In memory as the projection that they came from: (B, L, 3, h, d).
    dq, dk, dv = np.empty((B, L, 3, h, d), dtype).transpose(2, 0, 3, 1, 4)
    scale = dtype.type(1 / math.sqrt(d))

    def work(heads: Heads) -> None:
        a_some, m = np.ascontiguousarray(a[heads]), None if dropout is None else dropout[heads]
        np.matmul(transposed(a_some if m is None else m * a_some), do[heads], out=dv[heads])  # (2)
        ds = do[heads] @ transposed(v[heads])
        if m is not None:
            np.multiply(m, ds, out=ds)
        _softmax_gradient(ds.reshape(-1, L, L), a_some.reshape(-1, L, L), scale)
        np.matmul(ds, k[heads], out=dq[heads])  # (3)
        np.matmul(transposed(ds), q[heads], out=dk[heads])

    _over_heads(work, q)
    return dq, dk, dv


@kernel
def _attend(numbers: Any, q: Any, k: Any, v: Any, hidden: Any, scale: Any, o: Any) -> None:
    """(1) for some heads, one after the other."""
    h, L, d = q.shape[1:]
    panel = new_panel(q)
    sums, s, wide = new_sums(q[0, 0], panel), np.empty((1, L, L), q.dtype), panel.shape[1]
    for number in numbers:
        b, head = number // h, number % h
        for first in range(0, L, wide):
            columns = min(wide, L - first)
            multiply(sums, q[b, head], any_rows(k[b, head]), first, columns, True, panel)
            for row in range(U(L)):
                for c in range(U(columns)):
                    s[0, row, U(first) + c] = sums[row, c]
        _softmax(s, hidden[b:], scale)
        for first in range(0, d, wide):
            columns = min(wide, d - first)
            multiply(sums, s[0], any_rows(v[b, head]), first, columns, False, panel)
            for row in range(U(L)):
                for c in range(U(columns)):
                    o[b, head, row, U(first) + c] = sums[row, c]


@kernel
def _softmax(s: Any, hidden: Any, scale: Any) -> None:
    """softmax(s · scale) in place of s (heads, L, L). hidden (heads or more, L or 1) is true at keys that nobody may
    see."""
    heads, L, _ = s.shape
    T = s.dtype.type
    for i in range(heads):
        for j in range(L):
            row = s[i, j]
            if hidden.shape[1] == L:
                for c in range(L):
                    row[c] = T(-np.inf) if hidden[i, c] else row[c]
            m = row_max(row)
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


def _over_heads(work: Callable[[Heads], None], q: Array) -> None:
    """work(heads) for all heads, so many at a time: some of one sample, or all of some samples.

    Where the threads are free they share them, each with one thread of the matrix library, for whose own threads these products
    are too small.
    """
    B, h, L, _ = q.shape
    cores = threads() if B * h * L * L * COST >= LEAST else 1
    heads = min(h, max(1, SCORES // (L * L)))
    if cores > B:
        heads = -(-h // (cores * -(-h // (cores * heads))))  # as much for each
    samples = min(-(-B // cores), max(1, SCORES // (h * L * L)))
    run(
        [
            partial(work, (slice(b, b + samples), slice(head, head + heads)))
            for b in range(0, B, samples)
            for head in range(0, h, heads)
        ]
    )
