"""Functions of one number for kernels: in float32 by polynomials, which the compiler turns into vector code, in float64 by the
C library, which has every digit.

    eˣ = 2ᵏ eʳ,   k = ⌊x log₂e + 1/2⌋,   |r| ≤ (log 2)/2                                   (1)

eʳ is a polynomial of degree 7, and 2ᵏ is put together from its bits. The error is below (1 + 0.6 |x|) 1e-7 of the value, the
second part of it what x rounded would make, as k log 2 is rounded; from e⁻⁸⁷ down it is 0.
Coefficients: Moshier, Cephes Mathematical Library, expf; Methods and Programs for Mathematical Functions (1989).

    log(1 + u) = 2 artanh z,   z = u / (2 + u)                                             (2)

For 0 ≤ u ≤ 1 artanh z / z is a polynomial in z² (interpolated at Chebyshev's points) with an error of 4e-9.

    erf z = tanh(z R(z²)),   so   Φ(x) = (1 + erf(x/√2)) / 2 = σ(2 z R(z²)),   z = x/√2    (3)

artanh(erf z) / z is smooth and even, so that few terms do: R is a quotient of polynomials of degree 3, fitted to the largest
error of erf over all z, 3e-9, below what float32 can tell apart. All coefficients are positive: R has no pole. With one term:
Winitzki, A handy approximation for the error function and its inverse (2008); the fit is ours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from .jit import by_type, inline

F = np.float32
SQRT_HALF = math.sqrt(0.5)


def exp(x: Any) -> Any:
    """eˣ, of a float32 by (1)."""
    return math.exp(x)


@inline
def _half_power_and_rest(x):  # type: ignore[no-untyped-def]
    """2ᵏ⁻¹ and eʳ − 1 of (1). Half of the power, as 2¹²⁸ is no float32 and eˣ may still be one."""
    x = min(max(x, F(-87.6)), F(89))
    k = np.floor(x * F(1.44269504088896341) + F(0.5))
    r = x - k * F(0.69314718056)
    p = F(1.9875691500e-4)
    p = p * r + F(1.3981999507e-3)
    p = p * r + F(8.3334519073e-3)
    p = p * r + F(4.1665795894e-2)
    p = p * r + F(1.6666665459e-1)
    p = p * r + F(5.0000001201e-1)
    return np.int32((np.int32(k) + np.int32(126)) << np.int32(23)).view(np.float32), p * (r * r) + r


@inline
def _exp32(x):  # type: ignore[no-untyped-def]
    half, rest = _half_power_and_rest(x)
    return (F(2) * rest + F(2)) * half


@inline
def _expm1_32(x):  # type: ignore[no-untyped-def]
    half, rest = _half_power_and_rest(x)
    return F(2) * half * rest + (F(2) * half - F(1))


@inline
def _softplus32(x):  # type: ignore[no-untyped-def]
    a = abs(x)
    u = _exp32(-a)
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


@by_type(expm1)
def _expm1(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: _expm1_32(x)
    return lambda x: math.expm1(x)


def softplus(x: Any) -> Any:
    """log(1 + eˣ) as max(x, 0) + log(1 + e^−|x|), of a float32 by (2)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


@by_type(softplus)
def _softplus(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: _softplus32(x)
    return lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x)))


# R of (3) with x² in place of z²: numerator and denominator, from the lowest power.
P0, P1, P2, P3 = [
    F(c / 2**i * math.sqrt(2))
    for i, c in enumerate([1.1283791936392493, 0.27976163774735313, 0.042555999176241935, 0.0021674012418449115])
]
Q1, Q2, Q3 = [F(c / 2**i) for i, c in enumerate([0.15685270123054704, 0.023612906033715048, 0.0003226650084003019], 1)]


@inline
def _normal_cdf32(x):  # type: ignore[no-untyped-def]
    s = min(x * x, F(1e6))  # Φ is 0 or 1 long before, and s³ stays a number
    return sigmoid(x * (((P3 * s + P2) * s + P1) * s + P0) / (((Q3 * s + Q2) * s + Q1) * s + F(1)))


def normal_cdf(x: Any) -> Any:
    """Φ(x), the distribution of the standard normal, of a float32 by (3)."""
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


@by_type(normal_cdf)
def _normal_cdf(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: _normal_cdf32(x)
    return lambda x: 0.5 * (1.0 + math.erf(x * SQRT_HALF))


@inline
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e⁻ˣ)."""
    one = type_of(x)(1)
    return one / (one + exp(-x))


@inline
def in_whole(number, unit):  # type: ignore[no-untyped-def]
    """The largest multiple of a unit that is not above a number."""
    return number // unit * unit


def type_of(x: Any) -> Any:
    """The type of a number, to make constants of it: what is multiplied by a float64 becomes one."""
    return type(x)


@by_type(type_of)
def _type_of(x):  # type: ignore[no-untyped-def]
    if x == types.float32:
        return lambda x: np.float32
    return lambda x: np.float64


def row_max(x: Any) -> Any:
    """The largest number of a row, x (C,) contiguous; anything of a row with a NaN.

    A maximum of floating numbers has NaN to think of, and is taken one number after the other. The bits of a float, read as an
    integer, are in the order of the numbers, once those of a negative one, its sign aside, are turned over; and of integers
    vectors of 16 are compared at once.
    """
    return x.max()


@inline
def _row_max32(x):  # type: ignore[no-untyped-def]
    bits, largest = x.view(np.int32), np.int32(-(2**31))
    for c in range(len(bits)):
        largest = max(largest, np.int32(bits[c] ^ ((bits[c] >> np.int32(31)) & np.int32(2**31 - 1))))
    return np.int32(largest ^ ((largest >> np.int32(31)) & np.int32(2**31 - 1))).view(np.float32)


@inline
def _row_max64(x):  # type: ignore[no-untyped-def]
    bits, largest = x.view(np.int64), np.int64(-(2**63))
    for c in range(len(bits)):
        largest = max(largest, bits[c] ^ ((bits[c] >> 63) & np.int64(2**63 - 1)))
    return np.int64(largest ^ ((largest >> 63) & np.int64(2**63 - 1))).view(np.float64)


@by_type(row_max)
def _row_max(x):  # type: ignore[no-untyped-def]
    if x.dtype == types.float32:
        return lambda x: _row_max32(x)
    return lambda x: _row_max64(x)
