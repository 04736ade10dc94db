"""Checkpointed scan: the selective scan with the memory of √l tokens, for one more forward's work.

Arguments, results and letters are those of selective_scan.py. Its backward needs every state h_t,
b·l·n·d numbers. This one cuts time into blocks of K tokens and keeps h before each of them only:

    forward     h_(t−1) is kept for t = 0, K, 2K, …                                     (1)
    backward    for the blocks from the last to the first:
                its states again, from the one kept at its start                        (2)
                its gradients, from  c = exp(Δ_(t+1) A) g_(t+1), t the block's last     (3)
                c for the block before it                                               (4)

c is what the future wants of a block's last state. l/K + K states are kept: fewest for K = √l.

A block is a recurrence with a start, linear_recurrence.py, eq. 1, and (3) and (4) are its backward:
c is a part of the gradient of its last state, and the next c the gradient of its start.

Chen et al.: Training Deep Nets with Sublinear Memory Cost, arXiv:1604.06174."""

from ..backend import Array, array_module
from ..core import ceil_sqrt, sum_rows
from ..errors import InputError, check_array, refusing
from .linear_recurrence import linear_recurrence_backward, linear_recurrence_forward
from .selective_scan import ScanCache, check_inputs, decays
from .softplus import softplus_backward, softplus_forward


@refusing
def checkpointed_scan_forward(x: Array, dt: Array, A: Array, B: Array, C: Array, D: Array,
                              dt_bias: Array | None = None, *, softplus: bool = True,
                              keep_every: int | None = None,
                              method: str = "sequential") -> tuple[Array, tuple]:  # fmt: skip
    """y (b, l, d) of the selective scan; the cache: that of the scan, the states of (1), K, method.

    softplus      as in selective_scan.py
    keep_every    K; None: the square root of l, rounded up
    method        how a block is solved, a name of linear_recurrence.py

    Raises InputError as the selective scan does, for a K below 1, and for an unknown method."""
    check_inputs(x, dt, A, B, C, D, dt_bias)
    xp, (b, l, d), n = array_module(x), x.shape, A.shape[1]
    if keep_every is not None and keep_every < 1:
        raise InputError(f"checkpointed_scan: keep_every is {keep_every}, expected at least 1")
    K = keep_every or ceil_sqrt(l)
    delta = dt if dt_bias is None else dt + dt_bias
    delta = softplus_forward(delta)[0] if softplus else delta
    scan = ScanCache(x, delta, A, B, C, D, softplus, dt_bias is not None)
    y, h, kept = xp.empty_like(x), xp.zeros((b, n, d), x.dtype), []
    for start in range(0, l, K):
        block = slice(start, start + K)
        kept.append(h)  # (1)
        states, _ = _states(scan, block, h, method)
        y[:, block] = xp.einsum("bln,lbnd->bld", C[:, block], states) + D * x[:, block]
        h = states[-1].copy()  # a view would keep all states of the block alive
    return y, (scan, kept, K, method)


@refusing
def checkpointed_scan_backward(dy: Array, cache: tuple) -> tuple[Array, ...]:
    """dx, ddt, dA, dB, dC, dD, ddt_bias; the last is None where there was no bias."""
    scan, kept, K, method = cache
    x, delta, A, B, C, D, softplus, has_bias, _ = scan
    check_array("checkpointed_scan", "dy", dy, x.shape, x)
    xp, c = array_module(dy, x), array_module(x).zeros_like(kept[0])
    dx, ddt, dB, dC = (xp.empty_like(v) for v in (x, x, B, C))
    dA, dD = xp.zeros_like(A), xp.zeros_like(D)
    for index in reversed(range(len(kept))):
        block = slice(index * K, (index + 1) * K)
        x_b, delta_b, B_b, C_b, dy_b = (v[:, block] for v in (x, delta, B, C, dy))
        h, recurrence = _states(scan, block, kept[index], method)  # (2)
        dh = (C_b[..., None] * dy_b[:, :, None, :]).swapaxes(0, 1)
        dh[-1] = dh[-1] + c  # (3)
        da, g, c = linear_recurrence_backward(dh, recurrence)  # (4)
        e = da * recurrence[0]
        dA = dA + sum_rows(e * delta_b.swapaxes(0, 1)[:, :, None, :], axes=2).T
        dD = dD + sum_rows(dy_b * x_b)
        dB[:, block] = xp.einsum("lbnd,bld->bln", g, delta_b * x_b)
        dC[:, block] = xp.einsum("bld,lbnd->bln", dy_b, h)
        g_B = xp.einsum("lbnd,bln->bld", g, B_b)
        dx[:, block] = delta_b * g_B + D * dy_b
        ddelta = xp.einsum("lbnd,nd->bld", e, A.T) + x_b * g_B
        ddt[:, block] = softplus_backward(ddelta, delta_b) if softplus else ddelta
    return dx, ddt, dA, dB, dC, dD, sum_rows(ddt) if has_bias else None


def _states(scan: ScanCache, block: slice, start: Array, method: str) -> tuple[Array, tuple]:
    """The states of a block, time first, (K, b, n, d), and the cache of its recurrence."""
    x, delta, B = (v[:, block] for v in (scan.x, scan.delta, scan.B))
    decay = decays(delta, scan.A).swapaxes(0, 1)
    inputs = (B[..., None] * (delta * x)[:, :, None, :]).swapaxes(0, 1)
    return linear_recurrence_forward(decay, inputs, start, method)
