"""The twin of mvnp/layers/softmax.py, and with it of the softmax within attention.py: a warp for each row, see softmax.cu."""

from __future__ import annotations

from ...backend import Array, array_module
from ...errors import check_array
from .launch import WARP, Kernels, contiguous

KERNELS = Kernels("softmax")
WARPS = 4  # in a block


def softmax_forward(x: Array) -> tuple[Array, Array]:
    check_array("Softmax", "x", x, (..., "C"))
    x = contiguous(x)
    y = array_module(x).empty_like(x)
    _launch("softmax_forward", x, y)
    return y, y


def softmax_backward(dy: Array, y: Array) -> Array:
    check_array("Softmax", "dy", dy, y.shape, y)
    y = contiguous(y)
    dx = array_module(y).empty_like(y)
    _launch("softmax_backward", contiguous(dy, y.dtype), y, dx)
    return dx


def _launch(name: str, x: Array, *others: Array) -> None:
    C = x.shape[-1]
    rows = x.size // C
    KERNELS.launch(name, -(-rows // WARPS), WARPS * WARP, x, *others, rows, C)
