"""Multi-head self-attention: every token gathers from all tokens of its window, by likeness.

    x, y (B, L, C)    q, k, v (B, h, L, d), h heads of d = C/h channels    weights a (B, h, L, L)

    forward     q, k, v = x W_qkvᵀ + b, split into heads; with qk-norm, q and k pass a LayerNorm over d
                s = q kᵀ / √d        a = softmax(s)        o = a v                                    (1)
                y = concat(o) W_projᵀ + b                                                             (2)
    backward    dv = aᵀ do           da = do vᵀ                                                       (3)
                ds = a (da − Σ_j da_j a_j)                 (softmax.py, eq. 2)
                dq = ds k / √d       dk = dsᵀ q / √d                                                  (4)

Attention dropout multiplies a by a mask m in o = (m a) v. A padded key can be masked: its score is −∞, its weight 0.

Vaswani et al.: Attention Is All You Need, arXiv:1706.03762, eq. 1. qk-norm: Henry et al., arXiv:2010.04245, with LayerNorm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Tape
from ..errors import InputError, check_array
from .dropout import Dropout
from .layernorm import LayerNorm
from .linear import Linear
from .softmax import exponentials, softmax_backward

SCORES = 1 << 18  # how many are worked on at once: more than stay in a core's own cache, so that there are few calls


class AttentionCache(NamedTuple):
    """What the backward needs. `weights` (B, h, L, L) are the softmax's, before dropout."""

    q: Array
    k: Array
    v: Array
    weights: Array
    dropout: Array | None


def attention_forward(
    q: Array, k: Array, v: Array, real: Array | None = None, dropout: Array | None = None, keep: bool = True
) -> tuple[Array, AttentionCache | None]:
    """o of (1) and its cache.

    q, k, v    (B, h, L, d)
    real       (B, L) booleans, False at keys that nobody may see; each row needs one that is True
    dropout    (B, h, L, L) mask from dropout.py, or None
    keep       False: no cache, and never more than a block of the weights in memory
    """
    check_array("attention", "q", q, ("B", "h", "L", "d"))
    for name, other in (("k", k), ("v", v)):
        check_array("attention", name, other, tuple(q.shape))
    xp = array_module(q, k, v, real, dropout)
    B, h, L, d = q.shape
    kept = xp.empty((B, h, L, L), q.dtype) if keep else None
    output = xp.empty((B, L, h, d), q.dtype).transpose(0, 2, 1, 3)  # in memory as the next layer wants it
    for some in _some_heads(q):
        # Scaling q costs L·d products, scaling the scores L·L.
        scores = (q[some] * (1.0 / math.sqrt(d))) @ k[some].swapaxes(-1, -2)
        if real is not None:
            scores = xp.where(real[some[0], None, None, :], scores, -math.inf)
        # a = e / Σe, and o = (m a) v = ((m e) v) / Σe: the quotient of L·d numbers costs less than that of L·L.
        unnormalised, total = exponentials(scores)
        if kept is not None:
            xp.divide(unnormalised, total, out=kept[some])
        if dropout is not None:
            unnormalised *= dropout[some]
        xp.divide(unnormalised @ v[some], total, out=output[some])
    return output, None if kept is None else AttentionCache(q, k, v, kept, dropout)


def attention_backward(doutput: Array, cache: AttentionCache) -> tuple[Array, Array, Array]:
    """dq, dk, dv of (3) and (4). A masked key has weight 0 and so no gradient: it needs no case of its own."""
    q, k, v, kept, dropout = cache
    xp = array_module(q)
    dq, dk, dv = (xp.empty(q.shape, q.dtype) for _ in range(3))
    for some in _some_heads(q):
        weights, do = kept[some], doutput[some]
        used = weights if dropout is None else weights * dropout[some]
        dv[some] = used.swapaxes(-1, -2) @ do
        dweights = do @ v[some].swapaxes(-1, -2)
        if dropout is not None:
            dweights = dweights * dropout[some]
        dscores = softmax_backward(dweights, weights) * (1.0 / math.sqrt(q.shape[-1]))
        dq[some] = dscores @ k[some]
        dk[some] = dscores.swapaxes(-1, -2) @ q[some]
    return dq, dk, dv


def _some_heads(q: Array) -> Iterator[tuple[slice, slice]]:
    """Indices that cut (B, h) so that the scores of each part stay in the cache: a few heads of one window at a time."""
    B, h, L, _ = q.shape
    heads = max(1, SCORES // (L * L))
    if array_module(q) is not np or B * h <= heads:
        return iter([(slice(0, B), slice(0, h))])
    return ((slice(b, b + 1), slice(head, head + heads)) for b in range(B) for head in range(0, h, heads))


class MultiHeadAttention(Layer):
    """Self-attention within each window, with its projections.

    channels, heads    heads must divide channels
    qkv_bias           a bias in the q, k, v projection
    qk_norm            LayerNorm over each head's q and k
    attn_drop          dropout rate of the attention weights
    proj_drop          dropout rate after the output projection
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        qkv_bias: bool = True,
        qk_norm: bool = False,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        init: Initializer | None = None,
    ) -> None:
        if heads < 1 or channels % heads:
            raise InputError(f"MultiHeadAttention: {heads} heads do not divide a width of {channels} channels")
        init = init or Initializer()
        self.heads = heads
        self.qkv = Linear(channels, 3 * channels, bias=qkv_bias, init=init)
        self.q_norm = LayerNorm(channels // heads, init=init) if qk_norm else None
        self.k_norm = LayerNorm(channels // heads, init=init) if qk_norm else None
        self.attn_drop = Dropout(attn_drop)
        self.proj = Linear(channels, channels, init=init)
        self.proj_drop = Dropout(proj_drop)

    def forward(self, x: Array, tape: Tape | None = None, real: Array | None = None) -> Array:
        """(2): (B, L, C) to (B, L, C); `real` (B, L) is False at padded tokens that are to be left out."""
        check_array("MultiHeadAttention", "x", x, ("B", "L", self.proj.weight.shape[0]))
        B, L, C = x.shape
        qkv = self.qkv(x, tape).reshape(B, L, 3, self.heads, C // self.heads)
        q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q, tape), self.k_norm(k, tape)
        dropout = self.attn_drop.draw(tape, (B, self.heads, L, L), x)
        output = self.record(tape, attention_forward(q, k, v, real, dropout, keep=tape is not None))
        merged = output.transpose(0, 2, 1, 3).reshape(B, L, C)
        return self.proj_drop(self.proj(merged, tape), tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        B, L, C = dy.shape
        dmerged = self.proj.backward(self.proj_drop.backward(dy, tape), tape)
        doutput = dmerged.reshape(B, L, self.heads, C // self.heads).transpose(0, 2, 1, 3)
        dq, dk, dv = attention_backward(doutput, tape.pop(self))
        if self.q_norm is not None and self.k_norm is not None:
            dk = self.k_norm.backward(dk, tape)
            dq = self.q_norm.backward(dq, tape)
        dqkv = array_module(dy).stack([part.transpose(0, 2, 1, 3) for part in (dq, dk, dv)], axis=2)
        return self.qkv.backward(dqkv.reshape(B, L, 3 * C), tape)
