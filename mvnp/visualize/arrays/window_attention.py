"""What one query token takes from every other of its window, head by head."""

from __future__ import annotations

import numpy as np

from .records import AttentionRecord


def query_weights(record: AttentionRecord, row: int, column: int) -> np.ndarray:
    """The weights of one query for each head, laid out on the padded map, (heads, Hp, Wp); NaN outside its window."""
    window, token = record.windows.find(row, column)
    return np.stack([record.windows.spread(window, weights) for weights in record.weights[window, :, token]])
