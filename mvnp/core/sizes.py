"""Sizes of maps and blocks, for the layers that cut them and for whoever counts what they cost."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InputError, shown

Pair = tuple[int, int]
MOST_OF_ONE = 10**11  # numbers of one parameter: 400 GB in float32


def check_shape(shape: tuple[Any, ...]) -> None:
    """Raise InputError unless a parameter can have this shape: integers of at least 1, and not more than a machine holds."""
    if not all(isinstance(size, int | np.integer) and not isinstance(size, bool) and size >= 1 for size in shape):
        raise InputError(f"a parameter cannot have shape {shown(shape)}; give sizes that are integers of at least 1")
    if math.prod(map(int, shape)) > MOST_OF_ONE:
        raise InputError(f"a parameter of shape {shown(shape)} has over {MOST_OF_ONE:.0e} numbers; give fewer channels")


def output_size(
    owner: str, x: tuple[int, ...], weight: tuple[int, ...], stride: Pair = (1, 1), padding: Pair = (0, 0)
) -> tuple[int, ...]:
    """What a convolution makes of x (B, H, W, I) with a kernel (O, I, Kh, Kw): (B, H', W', O), H' = ⌊(H + 2p − Kh)/s⌋ + 1.

    Raises InputError for a stride below 1 and a kernel larger than the padded x; `owner` says in the message whose it is.
    """
    if min(stride) < 1 or min(padding) < 0:
        raise InputError(f"{owner}: stride is {stride}, padding {padding}, expected at least 1, and at least 0")
    size = [(x[a + 1] + 2 * padding[a] - weight[a + 2]) // stride[a] + 1 for a in (0, 1)]
    if min(size) < 1:
        raise InputError(
            f"{owner}: an image of {x[1]}x{x[2]} with padding {padding[0]}x{padding[1]}"
            f" is smaller than the kernel, {weight[2]}x{weight[3]}"
        )
    return x[0], *size, weight[0]


def padded_size(H: int, W: int, P: int) -> Pair:
    """Height and width after padding to multiples of the window size P. Raises InputError where P is below 1."""
    if P < 1:
        raise InputError(f"window: the window size is {P}, expected at least 1")
    return -(-H // P) * P, -(-W // P) * P


def ceil_sqrt(n: int) -> int:
    """⌈√n⌉ of n of at least 1, exactly. Of n steps in blocks of K, n/K + K are fewest for K = √n."""
    return math.isqrt(n - 1) + 1
