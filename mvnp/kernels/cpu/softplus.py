"""The twin of mvnp/layers/softplus.py: one exponential for each number. A number in brackets is an equation of the layer."""

from __future__ import annotations

from typing import Any

from ...backend import Array
from .jit import kernel
from .mathematics import expm1, softplus
from .operands import each_number

COST = 0.5  # nanoseconds for a number


def softplus_forward(x: Array) -> tuple[Array, Array]:
    y = each_number(_forward, x, cost=COST)
    return NotImplemented if y is NotImplemented else (y, y)


def softplus_backward(dy: Array, y: Array) -> Array:
    return each_number(_backward, dy, y, cost=COST)


@kernel
def _forward(x: Any, y: Any) -> None:
    for i in range(x.size):
        y[i] = softplus(x[i])  # (1)


@kernel
def _backward(dy: Any, y: Any, dx: Any) -> None:
    for i in range(y.size):
        dx[i] = dy[i] * -expm1(-y[i])  # (2)
