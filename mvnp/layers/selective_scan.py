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
beyond inputs and outputs grows with √l, for one more forward's work. (2) and (4) are solved by linear_recurrence.py, in any
of its four ways.

Gu, Dao: Mamba, arXiv:2312.00752, eqs 2 and 4, algorithm 2, section 3.3.2. Chen et al., arXiv:1604.06174, for √l.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..backend import Array, array_module
from ..errors import InputError, check_array, check_choice
from ..kernels import twin
from .linear_recurrence import METHODS, solve, solve_adjoint
from .softplus import softplus_backward, softplus_forward

BLOCK = 1 << 16  # numbers in a block of states where nothing is kept: with its decays, well inside a core's cache
DEVICE_BLOCK = 1 << 24  # on a GPU a large block costs nothing and a small one many launches


class ScanCache(NamedTuple):
    """What the backward needs, and what one looks at to see inside: Δ, the inputs, and every K-th state."""

    x: Array
    delta: Array
    A: Array
    B: Array
    C: Array
    D: Array
    kept: list[Array] | Array  # h before tokens 0, K, 2K, …: each (b, n, d), or one array of them; empty after keep=False
    keep_every: int
    softplus: bool
    has_bias: bool
    method: str


def default_method(xp: ModuleType, tokens: int, width: int) -> str:
    """The way that solves a block of so many tokens, of b·n·d = width numbers each, fastest.

    NumPy: measured (benchmarks/scan_study.py). A step of the loop is one pass over numbers that the cache holds, and the
    other ways make more passes; only where long blocks have narrow steps, the calls themselves weigh more, and the tree makes
    fewer. CuPy: reasoned, not measured on a GPU. There a launch costs more than a pass of any width: the loop takes 2 a token,
    the tree about 5 log₂ k in all, a quarter of them at 64 tokens.
    """
    return "associative" if tokens >= 64 and (xp is not np or width <= 512) else "sequential"


@twin
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
    method: str | None = None,
    keep: bool = True,
) -> tuple[Array, ScanCache]:
    """y of (1) to (3), (b, l, d), and the cache for `selective_scan_backward`.

    softplus      False: Δ = dt + dt_bias, for a step size that is made elsewhere
    keep_every    K, the distance of kept states; None: the square root of l, rounded up
    method        how (2) and (4) are solved, a name of linear_recurrence.py; None: the fastest
    keep          False: no backward will follow. No state is kept, and K is what fits into the cache

    Raises InputError naming the argument whose shape or dtype does not fit x and A.
    """
    check_inputs(x, dt, A, B, C, D, dt_bias, keep_every)
    (b, l, d), n = x.shape, A.shape[-1]
    xp = array_module(x, dt, A, B, C, D, dt_bias)
    K = keep_every or (math.isqrt(l - 1) + 1 if keep else max(1, (BLOCK if xp is np else DEVICE_BLOCK) // (b * n * d)))
    K = min(K, l)
    method = method or default_method(xp, K, b * n * d)
    check_choice("method", method, METHODS)

    # Time comes first from here on, so that each step of the recurrence works on contiguous memory.
    delta = _time_major(dt)
    if dt_bias is not None:
        delta = delta + dt_bias
    if softplus:
        delta, _ = softplus_forward(delta)
    cache = ScanCache(x, delta.swapaxes(0, 1), A, B, C, D, [], K, softplus, dt_bias is not None, method)
    blocks = _Blocks(cache)
    y = xp.empty_like(x)
    h = xp.zeros((b, n, d), x.dtype)
    for start in range(0, l, K):
        if keep:
            cache.kept.append(h)
        part = slice(start, start + K)
        _, states = blocks.run(part, h)
        y[:, part] = (_sum_states(_time_major(C[:, part]), states) + D * blocks.x).swapaxes(0, 1)
        h = states[-1].copy()  # a view would keep all states of the block alive
    return y, cache


@twin
def selective_scan_backward(dy: Array, cache: ScanCache) -> tuple[Array, ...]:
    """dx, ddt, dA, dB, dC, dD, ddt_bias of (4) to (10); ddt_bias is None where there was no bias."""
    x, _, _, B, C, D, kept, K, softplus, has_bias, method = cache
    check_kept(cache)
    xp = array_module(x)
    blocks = _Blocks(cache)
    dx, ddt, dB, dC = (xp.empty(array.shape, x.dtype) for array in (x, x, B, C))
    dA, dD = xp.zeros_like(blocks.AT), xp.zeros_like(D)  # dA is (n, d), as the states
    carry = xp.zeros_like(kept[0])  # exp(Δ_(t+1) A) g_(t+1): what the future wants of h_t
    scratch = xp.empty_like(blocks.states)
    for index in reversed(range(len(kept))):
        part = slice(index * K, (index + 1) * K)
        decay, states = blocks.run(part, kept[index])
        x_t, delta_t, B_t = blocks.x, blocks.delta, blocks.B
        dy_t, C_t = _time_major(dy[:, part]), _time_major(C[:, part])

        # (4), backwards in time: h_t is used in y_t, through C_t, and in h_(t+1), through the decay.
        g = xp.multiply(C_t[..., None], dy_t[:, :, None, :], scratch[: len(states)])
        g[-1] += carry
        solve_adjoint(decay, g, method, g)
        carry = decay[0] * g[0]

        # (7), (8) and the second half of (9): the product rule on Δ_t B_t x_t, of which g_t is the gradient, and on C_t h_t.
        into_state = _sum_states(B_t, g)
        dx[:, part] = (delta_t * into_state + D * dy_t).swapaxes(0, 1)
        dB[:, part] = _sum_channels(g, blocks.delta_x).swapaxes(0, 1)
        dC[:, part] = _sum_channels(states, dy_t).swapaxes(0, 1)

        # (5): h_t = exp(a) h_(t−1) + …, so ∂h_t/∂a = exp(a) h_(t−1), with a = Δ_t A. The factor exp(a) is easily forgotten.
        # h_(t−1) is a constant here: that A has made it, too, is counted at the tokens before.
        e = g  # the same memory: g is not needed again
        e *= decay
        e[0] *= kept[index]
        e[1:] *= states[:-1]

        # (6), the first half of (9), and (10): the product rule on a, and what lies behind Δ.
        dA += xp.einsum("kbnd,kbd->nd", e, delta_t)
        dD += xp.einsum("kbd,kbd->d", dy_t, x_t)
        ddelta = xp.einsum("kbnd,nd->kbd", e, blocks.AT) + x_t * into_state
        ddt[:, part] = (softplus_backward(ddelta, delta_t) if softplus else ddelta).swapaxes(0, 1)
    return dx, ddt, dA.T, dB, dC, dD, ddt.sum(axis=(0, 1)) if has_bias else None


def selective_scan_states(cache: ScanCache) -> Array:
    """All states h_t of (2), (b, l, n, d), worked out again from those kept: for looking at, not for training."""
    check_kept(cache)
    blocks, K = _Blocks(cache), cache.keep_every
    parts = [blocks.run(slice(i * K, (i + 1) * K), h)[1].copy() for i, h in enumerate(cache.kept)]
    return array_module(cache.x).concatenate(parts).swapaxes(0, 1)


class _Blocks:
    """(2), block by block, in the same memory each time: what `run` gives, and leaves here, holds until it is called again."""

    def __init__(self, cache: ScanCache) -> None:
        (b, _, d), n, xp = cache.x.shape, cache.A.shape[1], array_module(cache.x)
        self.cache = cache
        self.AT = xp.ascontiguousarray(cache.A.T)  # (n, d): d last, as in the states
        self.decay, self.states = (xp.empty((cache.keep_every, b, n, d), cache.x.dtype) for _ in range(2))

    def run(self, part: slice, h: Array) -> tuple[Array, Array]:
        """The decays exp(ΔA) and the states after each token of `part`, both (k, b, n, d), starting from h.

        Everything that does not depend on the step before is done for the whole block at once. x, Δ, Δx and B of the block,
        time first, are left in `self`.
        """
        xp = array_module(h)
        self.x, self.delta, self.B = (_time_major(array[:, part]) for array in (self.cache.x, self.cache.delta, self.cache.B))
        self.delta_x = self.delta * self.x
        k = len(self.x)
        decay = xp.multiply(self.delta[:, :, None, :], self.AT, self.decay[:k])
        xp.exp(decay, decay)
        states = xp.multiply(self.delta_x[:, :, None, :], self.B[..., None], self.states[:k])
        solve(decay, states, h, self.cache.method, states)
        return decay, states


def check_inputs(
    x: Array, dt: Array, A: Array, B: Array, C: Array, D: Array, dt_bias: Array | None, keep_every: int | None
) -> None:
    check_array("selective_scan", "x", x, ("b", "l", "d"))
    (b, l, d), n = x.shape, A.shape[-1]
    expected = {"dt": (dt, (b, l, d)), "A": (A, (d, n)), "B": (B, (b, l, n)), "C": (C, (b, l, n)), "D": (D, (d,))}
    if dt_bias is not None:
        expected["dt_bias"] = (dt_bias, (d,))
    for name, (array, shape) in expected.items():
        check_array("selective_scan", name, array, shape)
    if keep_every is not None and keep_every < 1:
        raise InputError(f"selective_scan: keep_every is {keep_every}, expected at least 1")


def check_kept(cache: ScanCache) -> None:
    if len(cache.kept) == 0:
        raise InputError(
            "selective_scan: the forward was run with keep=False, so there is nothing to go back on; use keep=True"
        )


def _time_major(array: Array) -> Array:
    """(b, l, …) as (l, b, …), contiguous: what is made from a swapped view would keep the old order in memory."""
    return array_module(array).ascontiguousarray(array.swapaxes(0, 1))


def _sum_states(gate: Array, states: Array) -> Array:
    """Σ_n gate h: (k, b, n) and (k, b, n, d) to (k, b, d). As small matrix products this is the fastest by measurement."""
    return (gate[:, :, None, :] @ states)[:, :, 0, :]


def _sum_channels(states: Array, row: Array) -> Array:
    """Σ_d h row: (k, b, n, d) and (k, b, d) to (k, b, n)."""
    return (states @ row[..., None])[..., 0]
