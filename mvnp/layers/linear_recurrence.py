"""Linear recurrence: h_t = a_t h_(t−1) + u_t, solved in four ways. It is the heart of the selective scan.

    decay a, inputs u, states h, and their gradients (k, ...), time first    start h_(−1) (...)    every entry by itself

    forward     h_t = a_t h_(t−1) + u_t                                                 (1)
    backward    g_t = dh_t + a_(t+1) g_(t+1)        g_k = 0                             (2)
                du_t = g_t      da_t = g_t h_(t−1)      dh_(−1) = a_0 g_0               (3)

(2) is (1) again, backwards in time and with the decay of the step after: whatever solves the one solves the other.

    sequential     (1), step by step: 2k operations in k steps, the reference
    chunked        P_t = a_t ⋯ a_s, s the start of the chunk of t:   h_t = h'_t + P_t h_(s−1)               (4)
    associative    (a, u) then (b, v) is (ab, bu + v), in any bracketing: pairs, pairs of pairs, …          (5)
    cumulative     S_t = Σ_(s≤t) log a_s:   h_t = exp(S_t) (h_(−1) + Σ_(s≤t) exp(−S_s) u_s)                 (6)

h' of (4) is (1) started from 0 in every chunk, all chunks at once. The cumulative way needs a ≥ 0, and breaks where the
decays of one of its blocks multiply up to more than the number format holds; the others take any decay.

Blelloch: Prefix Sums and Their Applications (1990), sections 1.2 to 1.4. Martin, Cundy: Parallelizing Linear Recurrent
Neural Nets, arXiv:1709.04057, section 2. Heinsen: Efficient Parallelization of a Ubiquitous Sequential Computation,
arXiv:2311.06281. Gu, Dao: Mamba, arXiv:2312.00752, section 3.3.2, for the scan of a GPU.
"""

from __future__ import annotations

import math

import numpy as np

from ..backend import Array, array_module
from ..errors import check_array, check_choice

CUMULATIVE_BLOCK = 16  # decays that are multiplied up before the sum starts anew


def linear_recurrence_forward(
    decay: Array, inputs: Array, start: Array | None = None, method: str = "sequential"
) -> tuple[Array, tuple]:
    """All states h of (1), (k, ...), and the cache for `linear_recurrence_backward`. No start: from 0.

    Raises InputError for shapes that differ, and for a method that is not in METHODS.
    """
    check_choice("method of linear_recurrence", method, METHODS)
    check_array("linear_recurrence", "decay", decay, (...,) if getattr(decay, "shape", ()) else ("k",))
    check_array("linear_recurrence", "inputs", inputs, decay.shape)
    if start is not None:
        check_array("linear_recurrence", "start", start, decay.shape[1:])
    xp = array_module(decay, inputs, start)
    states = xp.empty_like(inputs)
    solve(decay, inputs, xp.zeros_like(inputs[0]) if start is None else start, method, states)
    return states, (decay, states, start, method)


def linear_recurrence_backward(dstates: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """da, du and dh_(−1) of (3); the last is None where there was no start."""
    decay, states, start, method = cache
    xp = array_module(decay)
    g, ddecay = xp.empty_like(states), xp.empty_like(decay)
    solve_adjoint(decay, dstates, method, g)
    xp.multiply(g[1:], states[:-1], ddecay[1:])
    if start is None:
        ddecay[0] = 0.0
        return ddecay, g, None
    ddecay[0] = g[0] * start
    return ddecay, g, decay[0] * g[0]


def solve(decay: Array, inputs: Array, start: Array, method: str, out: Array) -> None:
    """The states of (1), written to `out`, which may be `inputs` itself."""
    if len(inputs) == 0:  # the last of the adjoint's steps needs no other
        return
    if inputs.ndim == 1:  # an entry of these would be a number, not a view
        decay, inputs, start, out = (array[..., None] for array in (decay, inputs, start, out))
    METHODS[method](decay, inputs, start, out)


def solve_adjoint(decay: Array, dstates: Array, method: str, out: Array) -> None:
    """g of (2), written to `out`, which may be `dstates` itself: (1) on views that run backwards."""
    out[-1] = dstates[-1]
    solve(decay[:0:-1], dstates[-2::-1], out[-1], method, out[-2::-1])


def _sequential(decay: Array, inputs: Array, start: Array, out: Array) -> None:
    """(1), one step after the other. The least work, and k times two small operations."""
    xp = array_module(inputs)
    h, faded = start, xp.empty_like(out[0])
    for a, u, state in zip(decay, inputs, out, strict=True):
        xp.multiply(a, h, faded)
        xp.add(faded, u, state)
        h = state


def _chunked(decay: Array, inputs: Array, start: Array, out: Array) -> None:
    """(4): about √k steps, each for all chunks at once, then about √k chunks, each for all its steps at once.

    Step j of all chunks is `[j::size]`, a view. The last chunk may be shorter, and has no such step.
    """
    k = len(inputs)
    size = math.isqrt(k - 1) + 1
    product = array_module(decay).empty_like(out)
    out[::size], product[::size] = inputs[::size], decay[::size]
    for j in range(1, min(size, k)):
        a = decay[j::size]
        out[j::size] = a * out[j - 1 :: size][: len(a)] + inputs[j::size]
        product[j::size] = a * product[j - 1 :: size][: len(a)]
    for first in range(0, k, size):
        chunk = slice(first, first + size)
        out[chunk] += product[chunk] * start
        start = out[chunk][-1]


def _associative(decay: Array, inputs: Array, start: Array, out: Array) -> None:
    """(5): Blelloch's sweeps, 2 log₂ k steps with 2k combinations, for any k.

    Up: at distance s = 1, 2, 4, … position 2s−1, 4s−1, … takes in the s steps before its own s. Then position 2^j − 1 is
    complete, the combination of all up to it. Down, at … 4, 2, 1: what is complete is handed on to the position s later,
    which completes that one too. A complete position is a state, so that only `out` is needed there, and the product of
    decays stays that of the s steps. (Blelloch's down-sweep gives the sum *before* each position; this one includes it.)
    """
    product = decay.copy()
    if out is not inputs:
        out[...] = inputs
    out[0] += product[0] * start
    distances = [1 << j for j in range((len(out) - 1).bit_length())]
    for s in distances:
        late = slice(2 * s - 1, None, 2 * s)
        early = slice(s - 1, len(out) - s, 2 * s)
        out[late] += product[late] * out[early]
        product[late] *= product[early]
    for s in reversed(distances):
        late = slice(3 * s - 1, None, 2 * s)
        early = slice(2 * s - 1, len(out) - s, 2 * s)
        out[late] += product[late] * out[early]


def _cumulative(decay: Array, inputs: Array, start: Array, out: Array) -> None:
    """(6), two cumulative sums and no loop over tokens, in blocks of CUMULATIVE_BLOCK, each from the last state before it.

    In a block S is measured from its middle value M: the factors exp(S − M) and exp(M − S) are then as near to 1 as can be.
    It holds while S falls by less than about 170 in a block in float32, 1400 in float64 (twice the largest exponent), that
    is for decays of a geometric mean above 2e-5, or 1e-38, over the 16. Beyond, a factor is 0 or infinite, and states come
    out as NaN or ±∞. Before that, rounding S costs |S| ε of relative precision. A decay of 0 counts as the smallest number
    that is not; a negative one gives NaN.
    """
    xp, tiny = array_module(decay), np.finfo(decay.dtype).tiny
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for first in range(0, len(inputs), CUMULATIVE_BLOCK):
            block = slice(first, first + CUMULATIVE_BLOCK)
            a = decay[block]
            S = xp.cumsum(xp.log(xp.where(a == 0, tiny, a)), axis=0)
            middle = 0.5 * S[-1]
            S -= middle
            total = xp.cumsum(xp.exp(-S) * inputs[block], axis=0)
            total += xp.exp(middle) * start
            start = xp.multiply(xp.exp(S), total, out[block])[-1]


METHODS = {"sequential": _sequential, "chunked": _chunked, "associative": _associative, "cumulative": _cumulative}
