"""How spread out attention is: the entropy of its weights."""

from __future__ import annotations

import numpy as np

from ...errors import refusing
from .records import AttentionRecord


@refusing
def entropy(weights: np.ndarray) -> np.ndarray:
    """−Σ_s p_s ln p_s over the last axis, in nats: 0 where all is taken from one token, ln L where each of L has a share alike.

    0 ln 0 is 0. Shannon: A Mathematical Theory of Communication (1948), section 6.
    """
    p = np.asarray(weights, np.float64)
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)


def query_spread(record: AttentionRecord) -> np.ndarray:
    """e^H of each query in each head, on the padded map, (heads, Hp, Wp); NaN at padding."""
    perplexity = np.exp(entropy(record.weights))  # (nW, heads, L)
    return np.stack(
        [record.windows.lay_out(np.where(record.windows.real, values, np.nan)) for values in perplexity.swapaxes(0, 1)]
    )
