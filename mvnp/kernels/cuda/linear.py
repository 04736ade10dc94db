"""The twin of mvnp/layers/linear.py: each product is one of two matrices. CuPy takes a product of three axes with two apart,
copies the transposed weight for it, and makes a list of addresses, at each call."""

from __future__ import annotations

from ...backend import Array, array_module
from .columns import add_bias, sum_rows
from .launch import contiguous


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, tuple]:
    """As in mvnp/layers/linear.py."""
    fits = weight.ndim == 2 and x.ndim and x.shape[-1] == weight.shape[1] and x.size
    if not fits or x.dtype.kind != "f" or x.dtype != weight.dtype or (bias is not None and bias.shape != weight.shape[:1]):
        return NotImplemented
    xp, O = array_module(x, weight, bias), weight.shape[0]
    y = xp.empty((*x.shape[:-1], O), x.dtype)
    xp.matmul(_matrix(x), weight.T, out=y.reshape(-1, O))
    if bias is not None:
        add_bias(y, bias)
    return y, (x, weight, bias is not None)


def linear_backward(dy: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """As in mvnp/layers/linear.py."""
    x, weight, has_bias = cache
    if dy.shape != (*x.shape[:-1], weight.shape[0]) or dy.dtype != x.dtype:
        return NotImplemented
    xp, flat = array_module(dy, x, weight), _matrix(dy)
    dx = xp.empty(x.shape, x.dtype)
    xp.matmul(flat, weight, out=dx.reshape(-1, x.shape[-1]))
    return dx, flat.T @ _matrix(x), sum_rows(flat) if has_bias else None


def _matrix(x: Array) -> Array:
    return contiguous(x).reshape(-1, x.shape[-1])
