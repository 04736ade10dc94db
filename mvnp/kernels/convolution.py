"""Which way the twins of Conv2d take: im2col, as the book does, or Winograd's method where the kernel is 3x3 with stride 1.

Both compute the same convolution, to rounding; docs/layers/winograd.md has the second. With kernels off it is im2col always.
"""

from __future__ import annotations

import os

from ..backend import Array
from ..errors import check_choice

METHODS = ("auto", "im2col", "winograd")
LEAST_CHANNELS = 32  # with fewer, the transforms cost more than the products save

_chosen: str | None = None


def use_convolution(method: str) -> None:
    """Choose how kernels compute convolutions: "im2col", as the book does, "winograd", wherever a layer's kernel is 3x3 with
    stride 1, or "auto", the default: Winograd there in float32 on a CPU, where it is faster by measurement, and im2col else;
    see docs/kernels.md for GPUs. MVNP_CONVOLUTION sets the same.

    Raises InputError for another name.
    """
    global _chosen
    method = "im2col" if isinstance(method, str) and method == "patches" else method  # its name in earlier versions
    check_choice("value of MVNP_CONVOLUTION", method, METHODS)
    _chosen = method


def convolution_method() -> str:
    """The method that was chosen. The environment is read on first use."""
    if _chosen is None:
        use_convolution(os.environ.get("MVNP_CONVOLUTION") or "auto")
    return str(_chosen)


def by_winograd(x: Array, weight: Array, stride: tuple[int, int], padding: tuple[int, int], device: str) -> bool:
    """Whether the twin for a device convolves x by Winograd's method. A backward decides as its forward did: from its cache."""
    if convolution_method() == "im2col" or weight.shape[2:] != (3, 3) or tuple(stride) != (1, 1) or max(padding) > 2:
        return False
    pays = device == "cpu" and x.dtype == "float32" and min(weight.shape[:2]) >= LEAST_CHANNELS
    return convolution_method() == "winograd" or pays
