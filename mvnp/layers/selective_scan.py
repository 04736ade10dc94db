"""Selective scan: a linear recurrence whose step size, input and output gates depend on the token.

Small letters for sizes here, since B and C are matrices:  b batch, l tokens, d channels, n state numbers for each channel.

    x, dt, y (b, l, d)    A (d, n), negative    B, C (b, l, n)    D, dt_bias (d,)    states h (b, n, d) for each token

    forward     Δ_t = softplus(dt_t + dt_bias)                                          (1)
                h_t = exp(Δ_t A) h_(t−1) + Δ_t B_t x_t          h_(−1) = 0              (2)
                y_t = Σ_n C_t h_t + D x_t                                               (3)

exp(ΔA) is the zero-order hold of dh/dt = A h; ΔB is the Euler step of the input, which Mamba uses in place of the exact hold.

    backward    g_t = C_t dy_t + exp(Δ_(t+1) A) g_(t+1)         the gradient of h_t     (4)
                e_t = g_t h_(t−1) exp(Δ_t A)                    that of Δ_t A           (5)
                dA = Σ_(b,t) e_t Δ_t        dD = Σ_(b,t) dy_t x_t                       (6)
                dB_t = Σ_d g_t Δ_t x_t      dC_t = Σ_d dy_t h_t                         (7)
                dx_t = Δ_t Σ_n g_t B_t + D dy_t                                         (8)
                dΔ_t = Σ_n e_t A + x_t Σ_n g_t B_t                                      (9)
                ddt = dΔ (1 − e^−Δ)         ddt_bias = Σ_(b,t) ddt       (softplus.py)  (10)

The states are b·l·n·d numbers, many times the size of x. Only every K-th is kept, K about √l; the backward walks the blocks
of K steps from the last to the first and computes the states of each again from the one kept at its start. So the memory
beyond inputs and outputs grows with √l, for one more forward's work.

Gu, Dao: Mamba, arXiv:2312.00752, eqs 2 and 4, algorithm 2, section 3.3.2. Chen et al., arXiv:1604.06174, for √l.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..backend import Array, array_module
from ..errors import InputError, check_array
from .softplus import softplus_backward, softplus_forward


class ScanCache(NamedTuple):
    """What the backward needs, and what one looks at to see inside: Δ, the inputs, and every K-th state."""

    x: Array
    delta: Array
    A: Array
    B: Array
    C: Array
    D: Array
    kept: list[Array]  # h before tokens 0, K, 2K, …: each (b, n, d)
    keep_every: int
    softplus: bool
    has_bias: bool


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
    keep_every: int | None = None,
) -> tuple[Array, ScanCache]:
    """y of (3), (b, l, d), and the cache for `selective_scan_backward`.

    softplus      False: Δ = dt + dt_bias, for a step size that is made elsewhere
    keep_every    K, the distance of kept states; None: the square root of l, rounded up

    Raises InputError naming the argument whose shape or dtype does not fit x and A.
    """
    check_array("selective_scan", "x", x, ("b", "l", "d"))
    (b, l, d), n = x.shape, A.shape[-1]
    expected = {"dt": (dt, (b, l, d)), "A": (A, (d, n)), "B": (B, (b, l, n)), "C": (C, (b, l, n)), "D": (D, (d,))}
    if dt_bias is not None:
        expected["dt_bias"] = (dt_bias, (d,))
    for name, (array, shape) in expected.items():
        check_array("selective_scan", name, array, shape)
    if keep_every is not None and keep_every < 1:
        raise InputError(f"selective_scan: keep_every is {keep_every}, expected at least 1")
    xp = array_module(x, dt, A, B, C, D, dt_bias)

    delta = dt if dt_bias is None else dt + dt_bias
    if softplus:
        delta, _ = softplus_forward(delta)
    cache = ScanCache(x, delta, A, B, C, D, [], keep_every or math.isqrt(l - 1) + 1, softplus, dt_bias is not None)
    y = xp.empty_like(x)
    h = xp.zeros((b, n, d), x.dtype)
    for start in range(0, l, cache.keep_every):
        cache.kept.append(h)
        part = slice(start, start + cache.keep_every)
        _, states = _run_block(cache, part, h)
        y[:, part] = _sum_states(C[:, part], states)
        h = states[-1].copy()  # a view would keep all states of the block alive
    return y + D * x, cache


def selective_scan_backward(dy: Array, cache: ScanCache) -> tuple[Array, ...]:
    """dx, ddt, dA, dB, dC, dD, ddt_bias of (4) to (10); ddt_bias is None where there was no bias."""
    x, delta, A, B, C, D, kept, keep_every, softplus, has_bias = cache
    xp = array_module(x)
    dx, ddelta = xp.empty_like(x), xp.empty_like(x)
    dB, dC = xp.empty_like(B), xp.empty_like(C)
    dA = xp.zeros(A.shape[::-1], A.dtype)  # (n, d), as the states
    carry = xp.zeros_like(kept[0])  # exp(Δ_(t+1) A) g_(t+1): what the future wants of h_t
    for index in reversed(range(len(kept))):
        part = slice(index * keep_every, (index + 1) * keep_every)
        decay, states = _run_block(cache, part, kept[index])
        dy_t, x_t, delta_t, C_t = (_time_major(array[:, part]) for array in (dy, x, delta, C))

        # (4), backwards in time: h_t is used in y_t, through C_t, and in h_(t+1), through the decay.
        g = C_t[..., None] * dy_t[:, :, None, :]
        for t in reversed(range(len(g))):
            g[t] += carry
            carry = decay[t] * g[t]

        # (5): h_t = exp(a) h_(t−1) + …, so ∂h_t/∂a = exp(a) h_(t−1), with a = Δ_t A. The factor exp(a) is easily forgotten.
        e = g * decay
        e[0] *= kept[index]
        e[1:] *= states[:-1]

        # (6) to (9): each is a product rule on Δ_t A, Δ_t B_t x_t or C_t h_t, summed over the axes that the factor lacks.
        dA += (e * delta_t[:, :, None, :]).sum(axis=(0, 1))
        into_state = _sum_states(B[:, part], g)  # Σ_n g B
        dx[:, part] = into_state * delta[:, part]
        ddelta[:, part] = (e * A.T).sum(axis=2).swapaxes(0, 1) + into_state * x[:, part]
        dB[:, part] = (g @ (delta_t * x_t)[..., None])[..., 0].swapaxes(0, 1)
        dC[:, part] = (states @ dy_t[..., None])[..., 0].swapaxes(0, 1)
    dx += D * dy
    ddt = softplus_backward(ddelta, delta) if softplus else ddelta
    return dx, ddt, dA.T, dB, dC, (dy * x).sum(axis=(0, 1)), ddt.sum(axis=(0, 1)) if has_bias else None


def selective_scan_states(cache: ScanCache) -> Array:
    """All states h_t of (2), (b, l, n, d), worked out again from those kept: for looking at, not for training."""
    starts = range(0, cache.x.shape[1], cache.keep_every)
    blocks = [
        _run_block(cache, slice(start, start + cache.keep_every), h)[1] for start, h in zip(starts, cache.kept, strict=True)
    ]
    return array_module(cache.x).concatenate(blocks).swapaxes(0, 1)


def _run_block(cache: ScanCache, part: slice, h: Array) -> tuple[Array, Array]:
    """The decays exp(ΔA) and the states after each token of `part`, both (k, b, n, d), starting from h.

    Time comes first, so that each step of the recurrence works on contiguous memory; everything that does not depend on
    the step before is done for the whole block at once.
    """
    xp = array_module(h)
    delta = _time_major(cache.delta[:, part])[:, :, None, :]
    decay = xp.exp(delta * cache.A.T)
    states = _time_major(cache.delta[:, part] * cache.x[:, part])[:, :, None, :] * _time_major(cache.B[:, part])[..., None]
    for t in range(len(states)):
        states[t] += decay[t] * h
        h = states[t]
    return decay, states


def _time_major(array: Array) -> Array:
    """(b, k, …) as (k, b, …), copied: what is made from a swapped view would keep the old order in memory."""
    return array_module(array).ascontiguousarray(array.swapaxes(0, 1))


def _sum_states(gate: Array, states: Array) -> Array:
    """Σ_n gate h: (b, k, n) and (k, b, n, d) to (b, k, d)."""
    return (_time_major(gate)[:, :, None, :] @ states)[:, :, 0, :].swapaxes(0, 1)
