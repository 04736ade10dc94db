"""The twin of mvnp/layers/gate.py: one thread for each number, the kernels in gate.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...errors import check_array
from .launch import Kernels, contiguous

KERNELS = Kernels("gate")


def gate_forward(x: Array, z: Array) -> tuple[Array, tuple]:
    check_array("gate", "x", x, (...,))
    check_array("gate", "z", z, x.shape)
    return KERNELS.map("gate_forward", x, z), (x, z)


def gate_backward(dy: Array, cache: tuple) -> tuple[Array, Array]:
    x, z = cache
    dy, x, z = (contiguous(array, x.dtype) for array in (dy, x, z))
    xp = array_module(dy, x, z)
    dx, dz = xp.empty_like(x), xp.empty_like(x)
    KERNELS.each("gate_backward", x.size, dy, x, z, dx, dz)
    return dx, dz
