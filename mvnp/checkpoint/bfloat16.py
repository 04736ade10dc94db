"""bfloat16, which NumPy does not have: the upper half of a float32, with its sign, 8 bits of exponent and 7 of mantissa.

Reading puts zeros below; nothing is lost. Writing rounds to the nearest, and to the even one of two that are equally near:

    u = bits of x, 32 of them        bfloat16(x) = (u + 7FFF₁₆ + bit 16 of u) >> 16

The addition carries into the upper half where the lower is above one half of its range, or is one half and bit 16 is odd. A
carry out of the mantissa raises the exponent, which is right, and out of the largest finite number gives infinity. NaN is
kept apart: a carry could make it a number.
"""

from __future__ import annotations

import numpy as np


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The float32 values of bfloat16 numbers, given as uint16 of the same shape."""
    wide = bits.astype(np.uint32, order="C")
    wide <<= 16
    return wide.view(np.float32)


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """Floating numbers as bfloat16, uint16 of the same shape; float64 is rounded to float32 first."""
    with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite in bfloat16 too
        single = np.ascontiguousarray(x, np.float32).reshape(x.shape)  # the former makes a vector of a number
    bits = single.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(single), (bits >> 16).astype(np.uint16) | np.uint16(0x40), rounded)
