"""Global average pooling: one vector for an image.

    x, dx (B, H, W, C)    y, dy (B, C)

    forward     y = 1/(HW) Σ_hw x_hw        (1)
    backward    dx_hw = dy / (HW)           (2)

Lin, Chen, Yan: Network In Network, arXiv:1312.4400, section 3.2."""

from ..backend import Array, array_module
from ..core import Function
from ..errors import check_array, refusing
from ..kernels import twin


@twin
def pool_forward(x: Array) -> tuple[Array, tuple]:
    """y of (1), summed in float64; the cache is y, for what dy has to be like, and x's shape."""
    check_array("AveragePool", "x", x, ("B", "H", "W", "C"))
    y = x.mean(axis=(1, 2), dtype="float64").astype(x.dtype)  # (1)
    return y, (y, tuple(x.shape))


@refusing
def pool_backward(dy: Array, cache: tuple) -> Array:
    """dx of (2): every pixel had the same share in the mean."""
    y, (B, H, W, C) = cache
    check_array("AveragePool", "dy", dy, (B, C), y)
    return array_module(dy).broadcast_to(dy[:, None, None, :] / (H * W), (B, H, W, C))  # (2)


class AveragePool(Function):
    """The mean over height and width."""

    pair = pool_forward, pool_backward
