"""The twins of the passes of mvnp/layers/batchnorm.py: what goes over all of x. What there is for a channel stays array code.

What each thread does stands in batchnorm.cu.
"""

from __future__ import annotations

from ...backend import Array, array_module
from ...errors import check_array
from .columns import add_chunks
from .launch import MOST_BLOCKS, THREADS, WARP, Kernels, accumulator_dtype, address_of, contiguous

KERNELS = Kernels("batchnorm")
GROUP, MERGERS = 8, 16  # rows, or chunks, that a block takes side by side, as in batchnorm.cu
CHUNKS = 512  # at most; of at least
CHUNK = 8 * GROUP  # rows


def moments(x: Array) -> tuple[int, Array, Array]:
    """As in mvnp/layers/batchnorm.py. Of float16 they are float32."""
    xp, A, x = array_module(x), accumulator_dtype(x.dtype), contiguous(x)
    rows, C, chunk, chunks = _cut(x)
    of_chunks, (mean, squares) = xp.empty((2, chunks, C), A), xp.empty((2, C), A)
    KERNELS.launch("moments", (-(-C // WARP), chunks), (WARP, GROUP), x, of_chunks[0], of_chunks[1], rows, C, chunk)
    found = of_chunks[0], of_chunks[1], mean, squares
    KERNELS.launch("merge_moments", -(-C // WARP), (WARP, MERGERS), *found, rows, C, chunk, chunks)
    return rows, mean, squares


def parameter_gradients(dy: Array, x: Array, mean: Array, rstd: Array) -> tuple[Array, Array]:
    """As in mvnp/layers/batchnorm.py. Of float16 they are float32."""
    xp, A, x = array_module(dy, x), accumulator_dtype(x.dtype), contiguous(x)
    rows, C, chunk, chunks = _cut(x)
    sums, arrays = xp.empty((2, chunks, C), A), (contiguous(dy, x.dtype), x, contiguous(mean, A))
    KERNELS.launch("parameter_gradients", (-(-C // WARP), chunks), (WARP, GROUP), *arrays, sums[0], sums[1], rows, C, chunk)
    of_product, dbias = add_chunks(sums, A)
    return of_product * rstd, dbias


def batchnorm_eval_forward(
    x: Array, weight: Array, bias: Array, mean: Array, variance: Array, eps: float = 1e-5
) -> tuple[Array, tuple]:
    """As in mvnp/layers/batchnorm.py."""
    check_array("BatchNorm", "x", x, (..., weight.shape[0]), weight)
    xp, x = array_module(x, weight, bias, mean, variance), contiguous(x)
    y, rstd = xp.empty_like(x), 1 / xp.sqrt(variance + eps)
    _each("standardise", (x,), _of_channels(x, mean, rstd * weight, bias), y)
    return y, (x, weight, mean, rstd)


def input_gradient(dy: Array, x: Array, mean: Array, rstd: Array, weight: Array, mean_g: Array, mean_g_x_hat: Array) -> Array:
    """As in mvnp/layers/batchnorm.py."""
    x = contiguous(x)
    dx = array_module(x).empty_like(x)
    constants = _of_channels(x, mean, rstd * weight, rstd * mean_g, rstd * rstd * mean_g_x_hat)
    _each("input_gradient", (contiguous(dy, x.dtype), x), constants, dx)
    return dx


def _each(name: str, arrays: tuple[Array, ...], constants: tuple[Array, ...], out: Array) -> None:
    """A kernel for each number of `out`, or for each four of them, where no four have numbers of two rows."""
    C, count = out.shape[-1], out.size
    fours = C % 4 == 0 and all(address_of(array) % 16 == 0 for array in arrays)
    blocks = min(-(-(count // 4 if fours else count) // THREADS), MOST_BLOCKS)
    KERNELS.launch(name, blocks, THREADS, *arrays, *constants, out, C, count, fours)


def _of_channels(x: Array, *values: Array) -> tuple[Array, ...]:
    return tuple(contiguous(value, accumulator_dtype(x.dtype)) for value in values)


def _cut(x: Array) -> tuple[int, int, int, int]:
    """Rows, channels, rows of a chunk, and number of chunks."""
    C = x.shape[-1]
    rows = x.size // C
    chunk = max(-(-rows // CHUNKS), CHUNK)
    return rows, C, chunk, -(-rows // chunk)
