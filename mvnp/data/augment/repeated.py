"""Repeated augmentation: a picture comes several times in a row, each time augmented anew.

With r repeats the order 0, 1, 2, … becomes 0, 0, …, 1, 1, …, each r times, dealt out to the ranks in turn; an epoch has as many
pictures as before, so only the first 1/r of the order is seen in it. Copies that meet in one batch make its gradient depend
less on chance.

Hoffer et al.: Augment your batch, arXiv:1901.09335. Berman et al.: MultiGrain, arXiv:1902.05509, section 3.2.
"""

from __future__ import annotations

import math

import numpy as np

from ...errors import InputError, refusing


@refusing
def repeated(order: np.ndarray, repeats: float, rank: int = 0, ranks: int = 1, multiple: int = 0) -> np.ndarray:
    """What `rank` of `ranks` sees of an epoch in that order, int64.

    repeats     r; 1.5 repeats every other one
    multiple    each rank sees a multiple of so many, fewer than its share; 0: its share, rounded up
    """
    if not repeats >= 1:
        raise InputError(f"repeated: repeats is {repeats!r}, expected at least 1")
    if not 0 <= rank < ranks:
        raise InputError(f"repeated: rank is {rank} of {ranks} ranks, expected from 0 to one less than they are")
    if multiple < 0:
        raise InputError(f"repeated: multiple is {multiple}, expected at least 0")
    total = math.ceil(len(order) / ranks) * ranks
    positions = np.floor(np.arange(math.ceil(len(order) * repeats)) / repeats).astype(np.int64)
    positions = np.resize(positions, total)  # the first ones again, until all ranks have as many
    seen = len(order) // multiple * multiple // ranks if multiple else None
    return np.asarray(order)[positions[rank::ranks][:seen]]
