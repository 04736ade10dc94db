"""The twin of mvnp/layers/gelu.py: each number is read and written once. A number in brackets is an equation of the layer.

Both forms are x σ(2w), as (1 + tanh w)/2 = σ(2w): by tanh w is u, and erf has its own w, see mathematics.py.
"""

from __future__ import annotations

import math
from typing import Any

from ...backend import Array
from .jit import inline, kernel
from .mathematics import exp, normal_cdf, sigmoid, type_of
from .operands import each_number

COST = 0.6  # nanoseconds for a number
SQRT_2_OVER_PI, DENSITY_AT_0 = math.sqrt(2 / math.pi), 1 / math.sqrt(2 * math.pi)
FAR = 100


def gelu_forward(x: Array) -> tuple[Array, Array]:
    y = each_number(_forward, x, cost=COST)
    return NotImplemented if y is NotImplemented else (y, x)


def gelu_backward(dy: Array, x: Array) -> Array:
    return each_number(_backward, dy, x, cost=COST)


def gelu_tanh_forward(x: Array) -> tuple[Array, Array]:
    y = each_number(_tanh_forward, x, cost=COST)
    return NotImplemented if y is NotImplemented else (y, x)


def gelu_tanh_backward(dy: Array, x: Array) -> Array:
    return each_number(_tanh_backward, dy, x, cost=COST)


@kernel
def _forward(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = x[i] * normal_cdf(x[i])  # (1)


@kernel
def _backward(dy: Any, x: Any, dx: Any) -> None:
    T = type_of(x[0])
    for i in range(x.size):
        density = T(DENSITY_AT_0) * exp(T(-0.5) * x[i] * x[i])
        dx[i] = dy[i] * (normal_cdf(x[i]) + x[i] * density)  # (2)


@inline
def _u(x):  # type: ignore[no-untyped-def]
    T = type_of(x)
    return T(SQRT_2_OVER_PI) * (x + T(0.044715) * x * x * x)


@inline
def _clipped(x):  # type: ignore[no-untyped-def]
    T = type_of(x)
    return min(max(x, T(-FAR)), T(FAR))


@kernel
def _tanh_forward(x: Any, y: Any) -> None:
    T = type_of(x[0])
    for i in range(x.size):
        y[i] = x[i] * sigmoid(T(2) * _u(_clipped(x[i])))  # (3)


@kernel
def _tanh_backward(dy: Any, x: Any, dx: Any) -> None:
    T = type_of(x[0])
    for i in range(x.size):
        v = _clipped(x[i])
        half = sigmoid(T(2) * _u(v))  # (1 + tanh u) / 2, so (1 − tanh² u) / 2 is 2 half (1 − half)
        du = T(SQRT_2_OVER_PI) * (T(1) + T(0.134145) * v * v)
        dx[i] = dy[i] * (half + v * T(2) * half * (T(1) - half) * du)  # (4)
