"""Selective scan: a linear recurrence whose step size, input and output gates depend on the token.

Small letters for sizes, as B and C are matrices: b batch, l tokens, d channels, n states of each.

    x, dt, y (b, l, d)    A (d, n), negative    B, C (b, l, n)    D, dt_bias (d,)
    Δ (b, l, d)    states h and their gradients g (b, l, n, d)

    forward     Δ_t = softplus(dt_t + dt_bias)                                          (1)
                h_t = exp(Δ_t A) h_(t−1) + Δ_t B_t x_t          h_(−1) = 0              (2)
                y_t = Σ_n C_t h_t + D x_t                                               (3)

exp(ΔA) is the zero-order hold of dh/dt = A h; Mamba takes Euler's step ΔB, not the hold, for B x.

    backward    g_t = C_t dy_t + exp(Δ_(t+1) A) g_(t+1)         the gradient of h_t     (4)
                e_t = g_t h_(t−1) exp(Δ_t A)                    that of Δ_t A           (5)
                dA = Σ_(b,t) e_t Δ_t        dD = Σ_(b,t) dy_t x_t                       (6)
                dB_t = Σ_d g_t Δ_t x_t      dC_t = Σ_d dy_t h_t                         (7)
                dx_t = Δ_t Σ_n g_t B_t + D dy_t                                         (8)
                dΔ_t = Σ_n e_t A + x_t Σ_n g_t B_t                                      (9)
                ddt = dΔ (1 − e^−Δ)         ddt_bias = Σ_(b,t) ddt       (softplus.py)  (10)

The states are b·l·n·d numbers, many times the size of x. The forward forgets them, and the backward
works them out again; checkpointed_scan.py keeps about √l. linear_recurrence.py can solve (2), (4).

Gu, Dao: Mamba, arXiv:2312.00752, eqs 2 and 4, algorithm 2, section 3.3.2."""

from typing import NamedTuple

import numpy as np

from ..backend import Array, array_module
from ..core import sum_rows
from ..errors import InputError, check_array, check_arrays
from ..kernels import twin
from .softplus import softplus_backward, softplus_forward


class ScanCache(NamedTuple):
    """What the backward needs, and what one looks at to see inside: Δ, and the inputs."""

    x: Array
    delta: Array
    A: Array
    B: Array
    C: Array
    D: Array
    softplus: bool
    has_bias: bool
    kept: Array | None = None  # some of the states, where a kernel of a GPU has them; for itself


@twin
def selective_scan_forward(x: Array, dt: Array, A: Array, B: Array, C: Array, D: Array,
                           dt_bias: Array | None = None, *, softplus: bool = True,
                           keep: bool = True) -> tuple[Array, ScanCache | None]:  # fmt: skip
    """y of (1) to (3), (b, l, d), and the cache for `selective_scan_backward`.

    softplus      False: Δ = dt + dt_bias, for a step size that is made elsewhere
    keep          False: no backward will follow, and there is no cache

    Raises InputError naming the argument whose shape or dtype does not fit, and for an A > 0."""
    check_inputs(x, dt, A, B, C, D, dt_bias)
    delta = dt if dt_bias is None else dt + dt_bias
    delta = softplus_forward(delta)[0] if softplus else delta  # (1)
    cache = ScanCache(x, delta, A, B, C, D, softplus, dt_bias is not None)
    h = selective_scan_states(cache)  # (2)
    y = array_module(x).einsum("bln,blnd->bld", C, h) + D * x  # (3)
    return y, cache if keep else None


@twin
def selective_scan_backward(dy: Array, cache: ScanCache) -> tuple[Array, ...]:
    """dx, ddt, dA, dB, dC, dD, ddt_bias of (4) to (10); the last is None if there was no bias."""
    x, delta, A, B, C, D, softplus, has_bias, _ = cache
    check_array("selective_scan", "dy", dy, x.shape, x)
    xp, decay = array_module(dy, x), decays(delta, A)
    h, g = selective_scan_states(cache), adjoint(dy, C, decay)
    h_before = xp.concatenate([xp.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
    # h_t = exp(a) h_(t−1) + …, so ∂h_t/∂a = exp(a) h_(t−1), with a = Δ_t A. The factor exp(a) is
    # easily forgotten. h_(t−1) is a constant here: that A has made it, too, is counted before.
    e = g * h_before * decay  # (5)
    dA, dD = sum_rows(e * delta[:, :, None, :], axes=2).T, sum_rows(dy * x)  # (6)
    dB = xp.einsum("blnd,bld->bln", g, delta * x)  # (7)
    dC = xp.einsum("bld,blnd->bln", dy, h)
    g_B = xp.einsum("blnd,bln->bld", g, B)
    dx = delta * g_B + D * dy  # (8)
    ddelta = xp.einsum("blnd,nd->bld", e, A.T) + x * g_B  # (9)
    ddt = softplus_backward(ddelta, delta) if softplus else ddelta  # (10)
    return dx, ddt, dA, dB, dC, dD, sum_rows(ddt) if has_bias else None


def adjoint(dy: Array, C: Array, decay: Array) -> Array:
    """g of (4): h_t is used twice, in y_t by way of C_t, and in h_(t+1) by that token's decay."""
    g = C[..., None] * dy[:, :, None, :]
    for t in reversed(range(g.shape[1] - 1)):
        g[:, t] = g[:, t] + decay[:, t + 1] * g[:, t + 1]  # (4)
    return g


def selective_scan_states(cache: ScanCache) -> Array:
    """All states h_t of (2), (b, l, n, d), from what the forward leaves: Δ, A, B and x."""
    x, delta, A, B = cache[:4]
    decay, delta_B_x = decays(delta, A), B[..., None] * (delta * x)[:, :, None, :]
    h, states = array_module(x).zeros_like(decay[:, 0]), []
    for t in range(x.shape[1]):
        h = decay[:, t] * h + delta_B_x[:, t]  # (2)
        states.append(h)
    return array_module(x).stack(states, axis=1)


def decays(delta: Array, A: Array) -> Array:
    """exp(Δ_t A) for every token, (b, l, n, d)."""
    xp = array_module(delta, A)
    return xp.exp(delta[:, :, None, :] * xp.ascontiguousarray(A.T))  # d last in memory, as in delta


def check_inputs(x: Array, dt: Array, A: Array, B: Array, C: Array, D: Array,
                 dt_bias: Array | None) -> None:  # fmt: skip
    """Raise InputError unless shapes and dtypes fit, and A < 0 (on a GPU nobody looks)."""
    inputs = {"x": (x, "bld"), "A": (A, "dn"), "dt": (dt, "bld"), "B": (B, "bln"), "C": (C, "bln")}
    check_arrays("selective_scan", "dt_bias", **inputs, D=(D, "d"), dt_bias=(dt_bias, "d"))
    if array_module(x, dt, A, B, C, D, dt_bias) is np and (A > 0).any():
        raise InputError(
            f"selective_scan: A is up to {A.max():.3g}, expected negative numbers, or states grow"
            " without bound; a model takes −exp(A_log)"
        )
