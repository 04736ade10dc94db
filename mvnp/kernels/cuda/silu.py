"""The twin of mvnp/layers/silu.py: one thread for each number, the kernels in silu.cu."""

from __future__ import annotations

from ...backend import Array
from ...errors import check_array
from .launch import Kernels

KERNELS = Kernels("silu")


def silu_forward(x: Array) -> tuple[Array, Array]:
    check_array("SiLU", "x", x, (...,))
    return KERNELS.map("silu_forward", x), x


def silu_backward(dy: Array, x: Array) -> Array:
    check_array("SiLU", "dy", dy, x.shape, x)
    return KERNELS.map("silu_backward", dy, x)
