"""The twin of mvnp/layers/softplus.py: one thread for each number, the kernels in softplus.cu."""

from __future__ import annotations

from ...backend import Array
from ...errors import check_array
from .launch import Kernels

KERNELS = Kernels("softplus")


def softplus_forward(x: Array) -> tuple[Array, Array]:
    check_array("Softplus", "x", x, (...,))
    y = KERNELS.map("softplus_forward", x)
    return y, y


def softplus_backward(dy: Array, y: Array) -> Array:
    check_array("Softplus", "dy", dy, y.shape, y)
    return KERNELS.map("softplus_backward", dy, y)
