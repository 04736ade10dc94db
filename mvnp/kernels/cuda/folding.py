"""The twin of mvnp/models/folding.py: in one launch, and the kernel lies in memory as the matrix that the convolution
multiplies by."""

from __future__ import annotations

from ...backend import Array, array_module
from .launch import Kernels, contiguous

KERNELS = Kernels("folding")


def folded(
    w: Array, b: Array | None, weight: Array, bias: Array, mean: Array, variance: Array, eps: float
) -> tuple[Array, Array]:
    """As in mvnp/models/folding.py."""
    vectors = (weight, bias, mean, variance) if b is None else (b, weight, bias, mean, variance)
    if w.dtype.kind != "f" or any(vector.shape != w.shape[:1] or vector.dtype != w.dtype for vector in vectors):
        return NotImplemented
    xp = array_module(w, *vectors)
    O, I, Kh, Kw = w.shape
    kernel, shift = xp.empty((Kh, Kw, I, O), w.dtype), xp.empty(O, w.dtype)
    arrays = (w, weight if b is None else b, weight, bias, mean, variance)
    KERNELS.each("fold", w.size, *map(contiguous, arrays), kernel, shift, O, I, Kh * Kw, b is not None, float(eps))
    return kernel.transpose(3, 2, 0, 1), shift
