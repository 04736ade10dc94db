"""The twin of mvnp/layers/silu.py: one exponential for each number. A number in brackets is an equation of the layer."""

from __future__ import annotations

from typing import Any

from ...backend import Array
from .jit import kernel
from .mathematics import sigmoid, type_of
from .operands import each_number

COST = 0.5  # nanoseconds for a number


def silu_forward(x: Array) -> tuple[Array, Array]:
    y = each_number(_forward, x, cost=COST)
    return NotImplemented if y is NotImplemented else (y, x)


def silu_backward(dy: Array, x: Array) -> Array:
    return each_number(_backward, dy, x, cost=COST)


@kernel
def _forward(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = x[i] * sigmoid(x[i])  # (1)


@kernel
def _backward(dy: Any, x: Any, dx: Any) -> None:
    one = type_of(x[0])(1)
    for i in range(x.size):
        gate = sigmoid(x[i])
        dx[i] = dy[i] * gate * (one + x[i] * (one - gate))  # (2)
