"""The attention that hides in a scan: what each token takes from each token before it.

    Δ, x, y (nW, L, D)    A (D, N), negative    B, C (nW, L, N)    D (D,)    α (nW, D, L, L)

A scan is linear in x once Δ, B and C are known. Written out, with h_(−1) = 0, ā_k = exp(Δ_k A) and b̄_s = Δ_s B_s,

    h_t = Σ_(s≤t) (Π_(k=s+1..t) ā_k) b̄_s x_s                                      (1)
    y_t = Σ_(s≤t) α_ts x_s + D x_t        α_ts = Σ_n C_t (Π_(k=s+1..t) ā_k) b̄_s    (2)
    Π_(k=s+1..t) ā_k = exp(A (S_t − S_s))        S_t = Σ_(k≤t) Δ_k                 (3)

So α is a lower triangular matrix for each channel, as a causal attention's weights are; but its rows have either sign and
no fixed sum. The product begins after s: a token is not faded by its own step. At t = s it is empty, and α_tt = Σ_n C_t b̄_t.

A mixer with several scans, there and back or along four routes, adds up their y, each with a weight w. Put back to the tokens'
own order, which step i of a scan reads in o_i, so do their α:

    y = Σ_scans w (α' x' + D x')        α'_(o_i, o_j) = α_ij                       (4)

(3) in place of products: Δ is never negative, so S never falls, every exponent with s ≤ t is at most 0, and nothing
overflows, however long the window; a product over many tokens may underflow to 0, as it should. All is done in float64.

Ali, Zimerman, Wolf: The Hidden Attention of Mamba Models, arXiv:2403.01590, for (1), (2) and the sum of (4).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from ...errors import InputError, check_array, refusing
from .records import ScanRecord
from .remember import remembered

Scans = ScanRecord | Sequence[ScanRecord]

AT_ONCE = 500_000  # numbers of α that are worked on at a time: they stay near the processor


@refusing
def hidden_attention(delta: np.ndarray, A: np.ndarray, B: np.ndarray, C: np.ndarray) -> np.ndarray:
    """α of (2), float64 (nW, D, L, L): `alpha[w, d, t, s]` is what token t takes from token s in channel d of window w.

    delta (nW, L, D), A (D, N), B and C (nW, L, N), as a ScanRecord has them; where padding is masked, Δ is 0 and so is the
    column. That is nW·D·L² numbers: for large windows, ask for a few windows at a time, or for `mean_hidden_attention`.
    Raises InputError for shapes that do not fit together.
    """
    check_array("hidden_attention", "delta", delta, ("nW", "L", "D"))
    (nW, L, D), N = delta.shape, A.shape[-1]
    for name, array, shape in (("A", A, (D, N)), ("B", B, (nW, L, N)), ("C", C, (nW, L, N))):
        check_array("hidden_attention", name, array, shape)
    step = np.asarray(delta, np.float64).transpose(0, 2, 1)  # (nW, D, L)
    S = np.cumsum(step, axis=-1)
    # S_t − S_s; above the diagonal it would be positive and its exponential might overflow, so there it is put to 0.
    between = np.tril(S[..., :, None] - S[..., None, :])
    alpha = np.zeros((nW, D, L, L))
    for n in range(N):
        gates = np.multiply(C[:, None, :, None, n], B[:, None, None, :, n], dtype=np.float64)
        alpha += gates * np.exp(A[:, n, None, None] * between)
    return np.tril(alpha) * step[..., None, :]


@refusing
def hidden_attention_of(scan: Scans, windows: slice = slice(None)) -> np.ndarray:
    """α of a recorded scan, (nW, D, L, L), of all its windows or some of them. Of several scans of a mixer, a sequence of
    records: Σ w α' of (4), in the tokens' own order."""
    return _sum(_alphas(scan, windows, slice(None)))


@refusing
def mean_hidden_attention(
    scan: Scans, *, signed: bool = False, channels: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """|α| averaged over channels, (nW, L, L), a part in memory at a time; of several scans of a mixer |Σ w α'| of (4).

    signed      α itself: what channels do in opposite directions cancels
    channels    the ones to average over; None: all

    Raises InputError for channels that the scan does not have.
    """
    first = scan if isinstance(scan, ScanRecord) else scan[0]
    D = first.A.shape[0]
    chosen = np.arange(D) if channels is None else np.asarray(channels)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= D:
        raise InputError(f"channels is {channels!r}, expected one or more numbers from 0 to {D - 1}, the scan's channels")
    return _means(scan, tuple(chosen.tolist()))[signed]


@remembered
def _means(scan: Scans, channels: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """|α| and α averaged over channels, (nW, L, L)."""
    first, chosen = scan if isinstance(scan, ScanRecord) else scan[0], np.asarray(channels)
    nW, L, _ = first.delta.shape
    at_once = max(1, AT_ONCE // L**2)
    sizes, sums = np.zeros((2, nW, L, L))
    for window in range(nW):
        one = slice(window, window + 1)
        for start in range(0, len(chosen), at_once):
            alpha = _sum(_alphas(scan, one, chosen[start : start + at_once]))[0]
            sizes[window] += np.abs(alpha).sum(axis=0)
            sums[window] += alpha.sum(axis=0)
    return sizes / len(chosen), sums / len(chosen)


def seen(scan: Scans) -> np.ndarray:
    """bool (L, L): whether what token t takes from token s can be anything but 0, by the order in which they are read."""
    if isinstance(scan, ScanRecord):
        return np.tri(scan.delta.shape[1], dtype=bool)
    return np.any([_in_tokens_order(seen(each), each) for each in scan], axis=0)


@refusing
def channel_groups(scan: Scans, count: int = 4) -> list[np.ndarray]:
    """The channels in `count` groups of equal size, give or take one: from those that forget fastest to the slowest.

    A channel's pace is the geometric mean of its states' timescales, in all scans of a mixer where there are several. Fewer
    channels than `count` make fewer groups. Raises InputError for a count below 1.
    """
    if count < 1:
        raise InputError(f"channel_groups: count is {count}, expected at least 1")
    scans = [scan] if isinstance(scan, ScanRecord) else scan
    pace = sum(np.log(each.timescale).mean(axis=1) for each in scans)
    order = np.argsort(pace, kind="stable")
    return [group for group in np.array_split(order, count) if len(group)]


def _alphas(scan: Scans, windows: slice, channels: slice | np.ndarray) -> Iterator[np.ndarray]:
    """α of each scan, w α' where there are several, of some windows and channels."""
    for each in [scan] if isinstance(scan, ScanRecord) else scan:
        delta = each.delta[windows][..., channels]
        alpha = hidden_attention(delta, each.A[channels], each.B[windows], each.C[windows])
        yield alpha if each is scan else each.weight * _in_tokens_order(alpha, each)


def _sum(arrays: Iterator[np.ndarray]) -> np.ndarray:
    return functools.reduce(np.add, arrays)


def _in_tokens_order(matrix: np.ndarray, scan: ScanRecord) -> np.ndarray:
    """(…, L, L), from the order of the scan to the tokens' own."""
    back = np.argsort(scan.order)
    return np.ascontiguousarray(matrix[..., back[:, None], back])
