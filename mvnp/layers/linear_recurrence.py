"""Linear recurrence: h_t = a_t h_(t−1) + u_t, solved in four ways. It is the heart of the scan.

    decay a, inputs u, states h, and their gradients (k, ...), time first    start h_(−1) (...)

    forward     h_t = a_t h_(t−1) + u_t                                                 (1)
    backward    g_t = dh_t + a_(t+1) g_(t+1)        g_k = 0                             (2)
                du_t = g_t      da_t = g_t h_(t−1)      dh_(−1) = a_0 g_0               (3)

Every entry of "..." is a recurrence by itself. (2) is (1) again, backwards in time and with the
decay of the step after: whatever solves the one solves the other.

    sequential     (1), step by step: 2k operations in k steps, the reference
    chunked        P_t = a_t ⋯ a_s, s the start of the chunk of t:   h_t = h'_t + P_t h_(s−1)    (4)
    associative    (a, u) then (b, v) is (ab, bu + v), in any bracketing: pairs, pairs of pairs  (5)
    cumulative     S_t = Σ_(s≤t) log a_s:   h_t = exp(S_t) (h_(−1) + Σ_(s≤t) exp(−S_s) u_s)      (6)

h' of (4) is (1) started from 0 in every chunk, all chunks at once. The cumulative way needs a ≥ 0,
and breaks where the decays of a block multiply up to more than floats hold; others take any decay.

Blelloch: Prefix Sums and Their Applications (1990), sections 1.2 to 1.4. Martin, Cundy:
Parallelizing Linear Recurrent Neural Nets, arXiv:1709.04057, section 2. Heinsen: Efficient
Parallelization of a Ubiquitous Sequential Computation, arXiv:2311.06281. Gu, Dao: Mamba,
arXiv:2312.00752, section 3.3.2, for the scan of a GPU."""

import numpy as np

from ..backend import Array, array_module
from ..core import ceil_sqrt
from ..errors import check_array, check_arrays, check_choice
from ..kernels import twin

CUMULATIVE_BLOCK = 16  # decays that are multiplied up before the sum starts anew


@twin
def linear_recurrence_forward(decay: Array, inputs: Array, start: Array | None = None,
                              method: str = "sequential") -> tuple[Array, tuple]:  # fmt: skip
    """All states h of (1), (k, ...), and the cache for the backward. No start: from 0. Raises
    InputError for shapes or dtypes that differ, and for a method that is not in METHODS."""
    check_choice("method of linear_recurrence", method, METHODS)
    check_array("linear_recurrence", "decay", decay, (...,) if np.ndim(decay) else ("k",))
    a = {"decay": (decay, decay.shape), "inputs": (inputs, decay.shape)}
    check_arrays("linear_recurrence", "start", **a, start=(start, decay.shape[1:]))
    xp = array_module(decay, inputs, start)
    h = METHODS[method](decay, inputs, xp.zeros_like(inputs[0]) if start is None else start)
    return h, (decay, h, start, method)


@twin
def linear_recurrence_backward(dh: Array, cache: tuple) -> tuple[Array, Array, Array | None]:
    """da, du and dh_(−1) of (3); the last is None where there was no start."""
    a, h, start, method = cache
    check_array("linear_recurrence", "dh", dh, h.shape, h)
    xp, zero = array_module(dh, a), array_module(h).zeros_like(h[:1])
    a_next = xp.concatenate([a[1:], xp.ones_like(a[:1])])  # the last meets g_k = 0
    h_before = xp.concatenate([zero if start is None else start[None], h[:-1]])
    g = METHODS[method](a_next[::-1], dh[::-1], zero[0])[::-1]  # (2)
    return g * h_before, g, None if start is None else a[0] * g[0]  # (3)


def _sequential(a: Array, u: Array, h: Array) -> Array:
    """(1), one step after the other: the least work, in k small operations."""
    states = []
    for a_t, u_t in zip(a, u, strict=True):
        h = a_t * h + u_t  # (1)
        states.append(h)
    return array_module(u).stack(states)


def _chunked(a: Array, u: Array, h: Array) -> Array:
    """(4): about √k steps, each for all chunks at once, then about √k chunks.

    The last chunk is filled up with steps that change nothing, a = 1 and u = 0."""
    xp, k = array_module(u), len(u)
    size = ceil_sqrt(k)
    fill = -k % size
    a = xp.concatenate([a, xp.ones_like(a[:fill])]).reshape(-1, size, *a.shape[1:])
    u = xp.concatenate([u, xp.zeros_like(u[:fill])]).reshape(a.shape)
    P = xp.cumprod(a, axis=1)
    fresh = _sequential(a.swapaxes(0, 1), u.swapaxes(0, 1), xp.zeros_like(u[:, 0]))  # h'
    states = []
    for h_chunk, P_chunk in zip(fresh.swapaxes(0, 1), P, strict=True):
        states.append(h_chunk + P_chunk * h)  # (4)
        h = states[-1][-1]
    return xp.concatenate(states)[:k]


def _associative(a: Array, u: Array, h: Array) -> Array:
    """(5): 2 log₂ k rounds with less than 2k joins, for any k.

    Every two steps are joined to one, which leaves a recurrence half as long, for the states after
    steps 1, 3, 5, …; it is solved in the same way. The states between are one step from those."""
    xp = array_module(u)
    if len(u) == 1:
        return a * h + u
    first, second = slice(0, -1, 2), slice(1, None, 2)
    late = _associative(a[first] * a[second], a[second] * u[first] + u[second], h)  # (5)
    before = xp.concatenate([h[None], late])[: len(u[::2])]
    states = xp.empty_like(u)
    states[::2], states[1::2] = a[::2] * before + u[::2], late
    return states


def _cumulative(a: Array, u: Array, h: Array) -> Array:
    """(6), no loop over tokens, in blocks of CUMULATIVE_BLOCK, each from the last state before it.

    In a block S is measured from its middle value M: exp(S − M) and exp(M − S) are then as near to
    1 as can be. They hold while S falls by less than about 170 in a block in float32, 1400 in
    float64 (twice the largest exponent); beyond, states come out as NaN or ±∞. A decay of 0 counts
    as the smallest number that is not; a negative one gives NaN."""
    xp, tiny, states = array_module(u), np.finfo(a.dtype).tiny, []
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for first in range(0, len(u), CUMULATIVE_BLOCK):
            block = slice(first, first + CUMULATIVE_BLOCK)
            S = xp.cumsum(xp.log(xp.where(a[block] == 0, tiny, a[block])), axis=0)
            M = S[-1] / 2
            total = xp.exp(M) * h + xp.cumsum(xp.exp(M - S) * u[block], axis=0)
            states.append(xp.exp(S - M) * total)  # (6)
            h = states[-1][-1]
    return xp.concatenate(states)


METHODS = {"sequential": _sequential, "chunked": _chunked,
           "associative": _associative, "cumulative": _cumulative}  # fmt: skip
