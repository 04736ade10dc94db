"""Functions of one number for kernels: in float32 by polynomials, which the compiler turns into vector code, in float64 by the
C library, which has every digit.

    eˣ = 2ᵏ eʳ,   k = ⌊x log₂e + 1/2⌋,   |r| ≤ (log 2)/2                                   (1)

eʳ is a polynomial of degree 7, and 2ᵏ is put together from its bits. The error is below 1e-7 of the value. Coefficients: the
Taylor series, economised (Moshier, Methods and Programs for Mathematical Functions, 1989).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from .jit import by_type, inline

F = np.float32


def exp(x: Any) -> Any:
    """eˣ, of a float32 by (1)."""
    return math.exp(x)


@inline
def _exp32(x):  # type: ignore[no-untyped-def]
    x = min(max(x, F(-87.3)), F(88.7))
    k = np.floor(x * F(1.44269504088896341) + F(0.5))
    # log 2 in two parts, the first with few bits, so that its product with k is exact.
    r = x - k * F(0.693359375)
    r = r - k * F(-2.12194440e-4)
    p = F(1.9875691500e-4)
    p = p * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    p = p * (r * r) + r + F(1)
    return p * np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)


@by_type(exp)
def _exp(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: _exp32(x)
    return lambda x: math.exp(x)


@inline
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e⁻ˣ)."""
    one = type_of(x)(1)
    return one / (one + exp(-x))


def type_of(x: Any) -> Any:
    """The type of a number, to make constants of it: what is multiplied by a float64 becomes one."""
    return type(x)


@by_type(type_of)
def _type_of(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: np.float32
    return lambda x: np.float64
