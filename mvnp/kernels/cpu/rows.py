"""One call of a kernel on several cores: each takes some of the rows.

A batch whose shares run side by side has work for every core; there a kernel runs as it is. A call from anywhere else (a batch
of one, a layer by itself) would leave all cores but one idle. Rows have nothing to do with each other, so others may take some.
What is over at once stays whole.

A sum over the rows is made block by block, each by itself: what comes out does not depend on how many cores there were, and a
long sum of float32 numbers keeps its digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .team import in_parts

BLOCK = 64  # rows that are summed in one go


def over_rows(
    kernel: Callable[..., None],
    rows: Sequence[np.ndarray],
    *whole: Any,
    cost: float,
    sums: Sequence[np.ndarray] = (),
    block: int = BLOCK,
) -> None:
    """kernel(*rows, *sums, *whole): where the threads are free and it is worth it, on several cores.

    rows     arrays with the same number of rows, along the leading axis; each core gets some of each
    whole    what each core gets as it is
    cost     nanoseconds that one row takes on one core, roughly
    sums     arrays with a row for each `block` rows (`blocks_of` says how many), cut as those are: a block stays whole
    """
    count, step = len(rows[0]), block if sums else 1
    cuts = (step,) * len(rows) + (1,) * len(sums)
    in_parts(kernel, cuts, blocks_of(count, step), count * cost, *rows, *sums, *whole)


def blocks_of(rows: int, block: int = BLOCK) -> int:
    """How many blocks so many rows make; the last may be smaller."""
    return -(-rows // block)
