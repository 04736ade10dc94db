"""The twin of mvnp/layers/window.py: copies of whole rows of a window. Where a window is the whole map there is nothing to
copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array
from ...core import padded_size
from .jit import kernel
from .mathematics import type_of
from .operands import taken
from .rows import over_rows

COST = 0.1  # nanoseconds for a number


def window_partition(x: Array, P: int) -> Array:
    if not taken(x) or x.ndim != 4 or P < 1:
        return NotImplemented
    B, H, W, C = x.shape
    if H == W == P:
        return x.reshape(B, P * P, C)
    Hp, Wp = padded_size(H, W, P)
    tokens = np.empty((B, Hp // P, Wp // P, P, P, C), x.dtype)
    over_rows(_partition, (np.ascontiguousarray(x), tokens), cost=COST * Hp * Wp * C)
    return tokens.reshape(-1, P * P, C)


def window_reverse(tokens: Array, P: int, H: int, W: int) -> Array:
    if not taken(tokens) or tokens.ndim != 3 or P < 1 or tokens.shape[1] != P * P:
        return NotImplemented
    Hp, Wp = padded_size(H, W, P)
    B, C = tokens.shape[0] * P * P // (Hp * Wp), tokens.shape[2]
    if B * Hp * Wp != tokens.shape[0] * P * P:
        return NotImplemented
    if H == W == P:
        return tokens.reshape(B, H, W, C)
    windows = np.ascontiguousarray(tokens).reshape(B, Hp // P, Wp // P, P, P, C)
    x = np.empty((B, H, W, C), tokens.dtype)
    over_rows(_reverse, (windows, x), cost=COST * H * W * C)
    return x


@kernel
def _partition(x: Any, tokens: Any) -> None:
    B, H, W, C = x.shape
    _, rows, columns, P, _, _ = tokens.shape
    zero = type_of(x[0, 0, 0, 0])(0)
    for b in range(B):
        for row in range(rows):
            for column in range(columns):
                for i in range(P):
                    for j in range(P):
                        h, w = row * P + i, column * P + j
                        if h < H and w < W:
                            for c in range(C):
                                tokens[b, row, column, i, j, c] = x[b, h, w, c]
                        else:
                            for c in range(C):
                                tokens[b, row, column, i, j, c] = zero


@kernel
def _reverse(tokens: Any, x: Any) -> None:
    _, _, _, P, _, _ = tokens.shape
    B, H, W, C = x.shape
    for b in range(B):
        for h in range(H):
            for w in range(W):
                for c in range(C):
                    x[b, h, w, c] = tokens[b, h // P, w // P, h % P, w % P, c]
