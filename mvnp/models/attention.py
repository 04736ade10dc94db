"""Multi-head self-attention with its projections, the mixer of a level's later blocks.

    x, y (B, L, C)    q, k, v, o (B, h, L, d), h heads of d = C/h channels

    q, k, v = heads of x W_qkvᵀ + b        o of layers/attention.py        y = concat(o) W_projᵀ + b

With qk-norm, q and k pass a LayerNorm over d before they meet.

Vaswani et al.: Attention Is All You Need, arXiv:1706.03762, section 3.2.2. qk-norm: Henry et al.,
arXiv:2010.04245, with LayerNorm.
"""

from __future__ import annotations

from ..backend import Array, array_module
from ..core import Initializer, Layer, Tape
from ..errors import InputError, check_array
from ..layers.attention import attention_backward, attention_forward
from ..layers.dropout import Dropout
from ..layers.layernorm import LayerNorm
from ..layers.linear import Linear


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
        """(B, L, C) to (B, L, C); `mask` (B, L) is False at padded tokens to be left out."""
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
