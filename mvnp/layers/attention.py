"""Multi-head self-attention: every token gathers from all tokens of its window, by likeness.

    x, y (B, L, C)    q, k, v (B, h, L, d), h heads of d = C/h channels    weights a (B, h, L, L)

    forward     s = q kᵀ / √d        a = softmax(s)        o = a v                        (1)
                q, k, v = heads of x W_qkvᵀ + b            y = concat(o) W_projᵀ + b      (2)
    backward    dv = aᵀ do           da = do vᵀ                                           (3)
                ds = a (da − Σ_j da_j a_j)                 (softmax.py, eq. 2)
                dq = ds k / √d       dk = dsᵀ q / √d                                      (4)

With qk-norm, q and k pass a LayerNorm over d. Attention dropout multiplies a by a mask m in
o = (m a) v. A padded key can be masked: its score is −∞, its weight 0.

Vaswani et al.: Attention Is All You Need, arXiv:1706.03762, eq. 1. qk-norm: Henry et al.,
arXiv:2010.04245, with LayerNorm.
"""

import math
from typing import NamedTuple

from ..backend import Array, array_module
from ..core import Initializer, Layer, Tape
from ..errors import InputError, check_array, check_arrays, check_mask
from ..kernels import twin
from .dropout import Dropout
from .layernorm import LayerNorm
from .linear import Linear
from .softmax import softmax_backward, softmax_forward


class AttentionCache(NamedTuple):
    """What the backward needs. `weights` (B, h, L, L) are the softmax's, before dropout."""

    q: Array
    k: Array
    v: Array
    weights: Array
    dropout: Array | None


@twin
def attention_forward(
    q: Array, k: Array, v: Array, mask: Array | None = None, dropout: Array | None = None,
    keep: bool = True,
) -> tuple[Array, AttentionCache | None]:  # fmt: skip
    """o of (1) and its cache.

    q, k, v    (B, h, L, d)
    mask       (B, L) booleans, False at keys that nobody may see; each row needs one that is True
    dropout    (B, h, L, L) mask from dropout.py, or None
    keep       False: no backward will follow, and there is no cache
    """
    check_inputs(q, k, v, mask, dropout)
    s = q @ transposed(k) / math.sqrt(q.shape[-1])
    if mask is not None:
        s = array_module(s).where(mask[:, None, None, :], s, -math.inf)
    a, _ = softmax_forward(s)
    o = (a if dropout is None else dropout * a) @ v
    return o, AttentionCache(q, k, v, a, dropout) if keep else None


@twin
def attention_backward(do: Array, cache: AttentionCache) -> tuple[Array, Array, Array]:
    """dq, dk, dv of (3) and (4). A masked key has weight 0 and so no gradient."""
    q, k, v, a, dropout = cache
    check_array("attention", "do", do, q.shape, q)
    dv = transposed(a if dropout is None else dropout * a) @ do
    da = do @ transposed(v)
    ds = softmax_backward(da if dropout is None else dropout * da, a)
    dq = ds @ k / math.sqrt(q.shape[-1])
    dk = transposed(ds) @ q / math.sqrt(q.shape[-1])
    return dq, dk, dv


def transposed(x: Array) -> Array:
    """The matrices in the last two axes, transposed."""
    return x.swapaxes(-1, -2)


def check_inputs(q: Array, k: Array, v: Array, mask: Array | None, dropout: Array | None) -> None:
    """Raise InputError unless all shapes and dtypes fit those of q."""
    heads = {"q": (q, "BhLd"), "k": (k, "BhLd"), "v": (v, "BhLd")}
    check_arrays("attention", "dropout", **heads, dropout=(dropout, "BhLL"))
    array_module(q, k, v, mask, dropout)
    check_mask("attention", mask, (q.shape[0], q.shape[2]))


class MultiHeadAttention(Layer):
    """Self-attention within each window, with its projections.

    channels, heads    heads must divide channels
    qkv_bias           a bias in the q, k, v projection
    qk_norm            LayerNorm over each head's q and k
    attn_drop          dropout rate of the attention weights
    proj_drop          dropout rate after the output projection
    """

    def __init__(
        self, channels: int, heads: int, qkv_bias: bool = True, qk_norm: bool = False,
        attn_drop: float = 0.0, proj_drop: float = 0.0, init: Initializer | None = None,
    ) -> None:  # fmt: skip
        if heads < 1 or channels % heads:
            raise InputError(
                f"MultiHeadAttention: {heads} heads do not divide a width of {channels} channels"
            )
        init = init or Initializer()
        self.heads = heads
        self.qkv = Linear(channels, 3 * channels, bias=qkv_bias, init=init)
        self.q_norm = LayerNorm(channels // heads, init=init) if qk_norm else None
        self.k_norm = LayerNorm(channels // heads, init=init) if qk_norm else None
        self.attn_drop = Dropout(attn_drop)
        self.proj = Linear(channels, channels, init=init)
        self.proj_drop = Dropout(proj_drop)

    def forward(self, x: Array, tape: Tape | None = None, mask: Array | None = None) -> Array:
        """(2): (B, L, C) to (B, L, C); `mask` (B, L) is False at padded tokens to be left out."""
        check_array("MultiHeadAttention", "x", x, ("B", "L", self.proj.weight.shape[0]))
        B, L, C = x.shape
        qkv = self.qkv(x, tape).reshape(B, L, 3, self.heads, C // self.heads)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q, tape), self.k_norm(k, tape)
        dropout = self.attn_drop.draw(tape, (B, self.heads, L, L), x)
        o = self.record(tape, attention_forward(q, k, v, mask, dropout, keep=tape is not None))
        y = self.proj(o.transpose(0, 2, 1, 3).reshape(B, L, C), tape)
        return self.proj_drop(y, tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        B, L, C = dy.shape
        do = self.proj.backward(self.proj_drop.backward(dy, tape), tape)
        do = do.reshape(B, L, self.heads, C // self.heads).transpose(0, 2, 1, 3)
        dq, dk, dv = attention_backward(do, tape.pop(self))
        if self.q_norm is not None and self.k_norm is not None:
            dk = self.k_norm.backward(dk, tape)
            dq = self.q_norm.backward(dq, tape)
        dqkv = array_module(dy).stack([dq, dk, dv]).transpose(1, 3, 0, 2, 4)
        return self.qkv.backward(dqkv.reshape(B, L, 3 * C), tape)
