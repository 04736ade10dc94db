"""The twin of mvnp/layers/gelu.py: one thread for each number, the kernels in gelu.cu."""

from __future__ import annotations

from ...backend import Array
from ...errors import check_array
from .launch import Kernels

KERNELS = Kernels("gelu")


def gelu_forward(x: Array) -> tuple[Array, Array]:
    check_array("GELU", "x", x, (...,))
    return KERNELS.map("gelu_forward", x), x


def gelu_backward(dy: Array, x: Array) -> Array:
    check_array("GELU", "dy", dy, x.shape, x)
    return KERNELS.map("gelu_backward", dy, x)


def gelu_tanh_forward(x: Array) -> tuple[Array, Array]:
    check_array("GELU", "x", x, (...,))
    return KERNELS.map("gelu_tanh_forward", x), x


def gelu_tanh_backward(dy: Array, x: Array) -> Array:
    check_array("GELU", "dy", dy, x.shape, x)
    return KERNELS.map("gelu_tanh_backward", dy, x)
