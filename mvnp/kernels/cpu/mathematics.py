"""Functions of one number for kernels: in float32 by polynomials, which the compiler turns into vector code, in float64 by the
C library, which has every digit.

    eˣ = 2ᵏ eʳ,   k = ⌊x log₂e + 1/2⌋,   |r| ≤ (log 2)/2                                   (1)

eʳ is a polynomial of degree 7, and 2ᵏ is put together from its bits. The error is below 1e-7 of the value. Coefficients: the
Taylor series, economised (Moshier, Methods and Programs for Mathematical Functions, 1989).

    log(1 + u) = 2 artanh z,   z = u / (2 + u)                                             (2)

For 0 ≤ u ≤ 1 artanh z / z is a polynomial in z² (interpolated at Chebyshev's points) with an error of 4e-9.
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
def _power_of_2_and_rest(x):  # type: ignore[no-untyped-def]
    """2ᵏ and eʳ − 1 of (1)."""
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
    return np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32), p * (r * r) + r


@inline
def _exp32(x):  # type: ignore[no-untyped-def]
    power, rest = _power_of_2_and_rest(x)
    return (rest + F(1)) * power


@inline
def _expm1_32(x):  # type: ignore[no-untyped-def]
    power, rest = _power_of_2_and_rest(x)
    return power * rest + (power - F(1))


@inline
def _softplus32(x):  # type: ignore[no-untyped-def]
    a = abs(x)
    u = _exp32(-a) if a < F(87) else F(0)
    z = u / (F(2) + u)
    s = z * z
    p = F(0.1408732863)
    p = p * s + F(0.1398070942)
    p = p * s + F(0.2001242686)
    p = p * s + F(0.3333315797)
    p = p * s + F(1.0000000039)
    return max(x, F(0)) + F(2) * z * p


@by_type(exp)
def _exp(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: _exp32(x)
    return lambda x: math.exp(x)


def expm1(x: Any) -> Any:
    """eˣ − 1 of x ≤ 0, with every digit where x is small."""
    return math.expm1(x)


@overload(expm1, inline="always")
def _expm1(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: _expm1_32(x)
    return lambda x: math.expm1(x)


def softplus(x: Any) -> Any:
    """log(1 + eˣ) as max(x, 0) + log(1 + e^−|x|), of a float32 by (2)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@overload(softplus, inline="always")
def _softplus(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: _softplus32(x)
    return lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x)))


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
