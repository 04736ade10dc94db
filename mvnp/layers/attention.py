"""Multi-head self-attention: every token gathers from all tokens of its window, by likeness.

    x, y (B, L, C)    q, k, v (B, h, L, d), h heads of d = C/h channels    weights a (B, h, L, L)

    forward     s = q kᵀ / √d        a = softmax(s)        o = a v        (1)
    backward    dv = aᵀ do           da = do vᵀ                           (2)
                ds = a (da − Σ_j da_j a_j)                 (softmax.py, eq. 2)
                dq = ds k / √d       dk = dsᵀ q / √d                      (3)

Around the functions here, models/attention.py has the projections: q, k, v = heads of x W_qkvᵀ + b
and y = concat(o) W_projᵀ + b. Attention dropout multiplies a by a mask m in o = (m a) v. A padded
key can be masked: its score is −∞, its weight 0.

Vaswani et al.: Attention Is All You Need, arXiv:1706.03762, eq. 1."""

import math
from typing import NamedTuple

from ..backend import Array, array_module
from ..errors import check_array, check_arrays, check_mask
from ..kernels import twin
from .softmax import softmax_backward, softmax_forward


class AttentionCache(NamedTuple):
    """What the backward needs. `weights` (B, h, L, L) are the softmax's, before dropout."""

    q: Array
    k: Array
    v: Array
    weights: Array
    dropout: Array | None


@twin
def attention_forward(q: Array, k: Array, v: Array, mask: Array | None = None,
                      dropout: Array | None = None, keep: bool = True,
                      ) -> tuple[Array, AttentionCache | None]:  # fmt: skip
    """o of (1) and its cache.

    q, k, v    (B, h, L, d)
    mask       (B, L) booleans, False at keys that nobody may see; each row needs one that is True
    dropout    (B, h, L, L) mask from dropout.py, or None
    keep       False: no backward will follow, and there is no cache"""
    check_inputs(q, k, v, mask, dropout)
    s = q @ transposed(k) / math.sqrt(q.shape[-1])  # (1)
    if mask is not None:
        s = array_module(s).where(mask[:, None, None, :], s, -math.inf)
    a, _ = softmax_forward(s)
    o = (a if dropout is None else dropout * a) @ v  # (1)
    return o, AttentionCache(q, k, v, a, dropout) if keep else None


@twin
def attention_backward(do: Array, cache: AttentionCache) -> tuple[Array, Array, Array]:
    """dq, dk, dv of (2) and (3). A masked key has weight 0 and so no gradient."""
    q, k, v, a, dropout = cache
    check_array("attention", "do", do, q.shape, q)
    dv = transposed(a if dropout is None else dropout * a) @ do  # (2)
    da = do @ transposed(v)  # (2)
    ds = softmax_backward(da if dropout is None else dropout * da, a)
    dq = ds @ k / math.sqrt(q.shape[-1])  # (3)
    dk = transposed(ds) @ q / math.sqrt(q.shape[-1])  # (3)
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
