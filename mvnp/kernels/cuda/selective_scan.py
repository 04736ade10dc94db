"""The twin of mvnp/layers/selective_scan.py: in one pass over the tokens, or parallel over time. What each thread does stands
in selective_scan.cu.

In one pass a thread takes a channel of a sample through all tokens, so there are b·d threads, however long the sequence is.
Parallel over time the sequence is cut into chunks of K tokens, which start from states that the backward wants anyway. To know
those beforehand, each chunk is first run from zero, and then

    h at the end of a chunk = (its end, run from zero) + exp(A ΣΔ) h at its start        ΣΔ over its tokens

since (2) is linear in h, and the product of its decays is the exponential of a sum. Backwards the same with (4). That is a
second look at x and dt, or dy and Δ, and twice the exponentials, for l/K times as many threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...backend import Array, array_module
from ...core import ceil_sqrt
from ...errors import InputError
from ...layers.selective_scan import ScanCache, check_inputs
from .columns import add_chunks
from .launch import THREADS, WARP, Kernels, accumulator_dtype, contiguous, rows_of

MOST_STATES = 64  # N numbers of a state, and about 4 N more in the backward, have to find room in the registers of a thread
SHARED = 48 << 10  # bytes of shared memory that a block gets without asking for more
FEW_WARPS, LONG = 256, 128  # see `_in_parallel`


def _in_parallel(warps: int, tokens: int) -> bool:
    """Whether kernels run parallel over time, or take the tokens in one pass.

    Reasoned, not measured. A GPU has some 400 schedulers, 4 on each of about 100 multiprocessors. As long as none has more
    than one warp, one pass takes a time that grows with the tokens alone: 100 to 200 cycles each, 10 to 20 microseconds for
    196 tokens. Parallel over time x and dt are read twice, twice as much is computed, and there are two launches more, of a few
    microseconds each. So that is chosen where many of the schedulers would stand idle, and the sequence is long enough to pay
    for the launches.
    """
    return warps <= FEW_WARPS and tokens >= LONG


def _distance(tokens: int, n: int, real: np.dtype) -> int:
    """K, the distance of kept states: the square root of the number of tokens, but no more than the backward has room for."""
    return min(ceil_sqrt(tokens), _room(n, real))


def selective_scan_forward(
    x: Array,
    dt: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array,
    dt_bias: Array | None = None,
    *,
    softplus: bool = True,
    keep: bool = True,
) -> tuple[Array, ScanCache | None]:
    """As in mvnp/layers/selective_scan.py. The cache has every K-th state, one array, of float32 where x is float16."""
    check_inputs(x, dt, A, B, C, D, dt_bias)
    (b, l, d), n, real = x.shape, A.shape[1], accumulator_dtype(x.dtype)
    parallel = _in_parallel(b * _groups(d), l)
    kernels, xp = _kernels(n), array_module(x)
    K = _distance(l, n, real)
    chunks = -(-l // K)

    bias = xp.zeros(d, real) if dt_bias is None else dt_bias
    x, dt = (contiguous(array, x.dtype) for array in (x, dt))
    B_rows, C_rows = (rows_of(array, x.dtype) for array in (B, C))
    a, skip, bias = (contiguous(array, real) for array in (A, D, bias))
    y, delta = xp.empty_like(x), xp.empty(x.shape if keep else (1,), x.dtype)
    kept = xp.empty((chunks, b, n, d) if keep or parallel else (1,), real)
    grid, every, span = (b, _groups(d)), K if keep else 0, l
    if parallel:
        grid, every, span = (b * chunks, _groups(d)), 0, K
        total = xp.empty((chunks, b, d), real)
        kernels.launch("chunk_states", grid, WARP, x, dt, a, B_rows, bias, kept, total, b, l, d, span, softplus)
        _carry_over(kernels, kept, total, a, back=False)
    arguments = (x, dt, a, B_rows, C_rows, skip, bias, y, delta, kept, b, l, d, span, every, softplus, keep)
    kernels.launch("scan_forward", grid, WARP, *arguments)
    return y, ScanCache(x, delta, A, B, C, D, softplus, dt_bias is not None, kept) if keep else None


def selective_scan_backward(dy: Array, cache: ScanCache) -> tuple[Array, ...]:
    """As in mvnp/layers/selective_scan.py."""
    x, delta, A, B, C, D, softplus, has_bias, kept = cache
    if dy.shape != x.shape or dy.dtype != x.dtype:
        return NotImplemented
    arguments: tuple[Any, ...]
    (b, l, d), n, xp, real = x.shape, A.shape[1], array_module(dy, x), accumulator_dtype(x.dtype)
    kernels, K = _kernels(n), _distance(l, n, real)
    x, delta = (contiguous(array, x.dtype) for array in (x, delta))
    dy_rows, B_rows, C_rows = (rows_of(array, x.dtype) for array in (dy, B, C))
    a, skip = contiguous(A, real), contiguous(D, real)
    if kept is None:  # the forward was array code
        kept, y = xp.empty((-(-l // K), b, n, d), real), xp.empty_like(x)
        arguments = (x, delta, a, B_rows, C_rows, skip, xp.zeros(d, real), y, y, kept, b, l, d, l, K, False, False)
        kernels.launch("scan_forward", (b, _groups(d)), WARP, *arguments)
    kept = contiguous(kept, real)

    parts, span, carries = 1, l, kept  # in one pass nothing is carried in, and `carries` not looked at
    if _in_parallel(b * _groups(d), l):
        parts, span, carries = -(-l // K), K, xp.empty_like(kept)
        total = xp.empty((parts, b, d), real)
        ending = (dy_rows, delta, a, C_rows, carries, total, b, l, d, span)
        kernels.launch("chunk_carries", (b * parts, _groups(d)), WARP, *ending)
        _carry_over(kernels, carries, total, a, back=True)
    dx, ddt = xp.empty_like(x), xp.empty_like(x)
    dgates, sums = xp.empty((_groups(d), b, l, 2, n), real), xp.empty((parts * b, n + 2, d), real)
    gates, results = (B_rows, C_rows), (dx, ddt, dgates, sums)
    arguments = (dy_rows, x, delta, a, *gates, skip, kept, carries, *results, b, l, d, span, K, softplus, parts > 1)
    kernels.launch("scan_backward", (b * parts, _groups(d)), WARP, *arguments, shared=K * _token_bytes(n, real))

    groups, rows = dgates.shape[0], dgates[0].size
    dgates = add_chunks(dgates.reshape(1, groups, rows), x.dtype).reshape(b, l, 2, n)
    sums = add_chunks(sums.reshape(1, parts * b, -1), real).reshape(n + 2, d)
    dbias = sums[n + 1] if has_bias else None
    return dx, ddt, sums[:n].T, dgates[:, :, 0], dgates[:, :, 1], sums[n], dbias


def _carry_over(kernels: Kernels, values: Array, total: Array, a: Array, back: bool) -> None:
    """`values`, what each chunk left by itself, become what is there before each."""
    parts, b, n, d = values.shape
    count = b * n * d
    kernels.launch("carry_over", -(-count // THREADS), THREADS, values, total, a, parts, d, back, count)


def _groups(d: int) -> int:
    return -(-d // WARP)


def _token_bytes(n: int, real: np.dtype) -> int:
    """What the backward keeps of a token in shared memory: states, x, Δ and dy of 32 channels, B and C."""
    return (n * WARP + 3 * WARP + 2 * n) * real.itemsize


def _room(n: int, real: np.dtype) -> int:
    """For how many tokens there is shared memory: the most that a chunk of the backward may have."""
    return SHARED // _token_bytes(n, real)


def _kernels(n: int) -> Kernels:
    if n > MOST_STATES:
        raise InputError(
            f"selective_scan: {n} states for each channel, kernels are made for at most {MOST_STATES}; MVNP_KERNELS=off takes"
            " the array code"
        )
    return Kernels("selective_scan", STATES=n)
