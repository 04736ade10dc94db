"""Both kinds of mixing as one: what a token takes from another, in scan blocks and in attention blocks, and their rollout.

    M (nW, L, L) of a block: row t is what token t of the window takes from each token s

    scans        M = mean over channels of |α|, or of α, of all scans of the mixer together    (hidden_attention.py)
    attention    M = mean over heads of the softmax weights
    rollout      R_i = M̃_i R_(i−1)        R_0 = I                   (1)
                 M̃ = rows of (M̂ + I) over their sum        M̂ = rows of M over their sum

The I stands for the residual connection around the mixer. Softmax rows add up to 1 already; those of |α| have any sum, in
units of the scan's own channels, so they are brought to 1 first: the residual then counts for one half in both kinds.
A token that takes nothing from anyone (a masked one) keeps its row of I. The rows of R add up to 1, and R_ts is the share of
token s, as it came into the level, in token t after block i, if mixing were all that happened.

No token of a level leaves its window: the matrix over all tokens of the map, in scan order, is block-diagonal.

Abnar, Zuidema: Quantifying Attention Flow in Transformers, arXiv:2005.00928. For scans: Ali et al., arXiv:2403.01590.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...errors import InputError, check_array, refusing
from .geometry import Geometry
from .hidden_attention import Scans, mean_hidden_attention, seen
from .internals import numbers_of
from .records import AttentionRecord, Internals, ScanRecord

Mixing = tuple[ScanRecord, ...] | AttentionRecord  # a block: all scans of its mixer, or its attention
Record = Scans | AttentionRecord


@refusing
def token_matrix(record: Record, *, signed: bool = False) -> np.ndarray:
    """M of one block, float64 (nW, L, L). `signed` averages α itself; attention's weights have no signs to keep."""
    if isinstance(record, AttentionRecord):
        return record.weights.mean(axis=1, dtype=np.float64)
    return mean_hidden_attention(record, signed=signed)


def reachable(record: Record) -> np.ndarray:
    """bool (L, L): whether M_ts can be anything but 0."""
    if isinstance(record, AttentionRecord):
        return np.ones(record.weights.shape[-2:], bool)
    return seen(record)


def tokens_of(record: Record) -> Geometry:
    """Where the tokens of a mixer or attention layer stand."""
    return record.tokens if isinstance(record, ScanRecord | AttentionRecord) else record[0].tokens


def blocks_of_level(records: Internals, level: str) -> dict[str, Mixing]:
    """The recorded blocks of a level such as 'levels.2' by path, from the first to the last."""
    every: dict[str, Mixing] = {**records.routes, **records.attentions}
    found = {path: record for path, record in every.items() if path.startswith(f"{level}.")}
    if not found:
        raise InputError(
            f"there is no recorded block in {level!r}; levels with windows: {', '.join(records.windows) or 'none'}"
        )
    if len({tokens_of(record) for record in found.values()}) > 1:
        raise InputError(f"the blocks of {level!r} are given their tokens in different orders: they are not one after another")
    return {path: found[path] for path in sorted(found, key=numbers_of)}


@refusing
def level_matrices(records: Internals, level: str, *, signed: bool = False) -> dict[str, np.ndarray]:
    """M of every recorded block of a level, by path, from the first to the last."""
    return {path: token_matrix(record, signed=signed) for path, record in blocks_of_level(records, level).items()}


@refusing
def rollout(matrices: Iterable[np.ndarray]) -> np.ndarray:
    """R_1, R_2, … of (1), (blocks, nW, L, L), from the M of a level's blocks, first to last.

    Raises InputError for no matrix, shapes that differ, and negative entries: shares of either sign can cancel to nothing.
    """
    rolled: list[np.ndarray] = []
    for M in matrices:
        check_array("rollout", "M", M, rolled[0].shape if rolled else ("nW", "L", "L"))
        if M.min() < 0:
            raise InputError(
                "rollout: a matrix has negative entries; rows of either sign have no shares. Use |α|, signed=False"
            )
        mixed = row_normalised(row_normalised(M) + np.eye(M.shape[-1]))
        rolled.append(mixed @ rolled[-1] if rolled else mixed)
    if not rolled:
        raise InputError("rollout: no matrices, expected at least one")
    return np.stack(rolled)


def row_normalised(M: np.ndarray) -> np.ndarray:
    """Rows over their sums, float64; a row of zeros stays one."""
    sums = M.sum(axis=-1, keepdims=True, dtype=np.float64)
    return np.divide(M, sums, out=np.zeros(M.shape), where=sums > 0)


@refusing
def block_diagonal(M: np.ndarray) -> np.ndarray:
    """(nW, L, L) to (nW·L, nW·L): all tokens of the map, windows one after the other; 0 between windows."""
    if M.ndim != 3:
        raise InputError(f"block_diagonal: M has shape {M.shape}, expected (nW, L, L)")
    nW, L, _ = M.shape
    whole = np.zeros((nW, L, nW, L), M.dtype)
    window = np.arange(nW)
    whole[window, :, window] = M
    return whole.reshape(nW * L, nW * L)


def others(shares: np.ndarray, token: int) -> np.ndarray:
    """Shares (…, L) with NaN in the place of the token itself."""
    return np.where(np.arange(shares.shape[-1]) == token, np.nan, shares)
