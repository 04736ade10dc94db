"""How long the states of a scan remember, sorted."""

from __future__ import annotations

import numpy as np

from .records import ScanRecord


def share_by_timescale(scan: ScanRecord) -> tuple[np.ndarray, np.ndarray]:
    """All timescales, sorted (D·N,), and the share of states whose timescale is at most so long."""
    length = np.sort(scan.timescale, axis=None)
    return length, np.arange(1, len(length) + 1) / len(length)


def by_pace(scan: ScanRecord) -> np.ndarray:
    """Timescales (D, N), the channel with the smallest geometric mean first."""
    return scan.timescale[np.argsort(np.log(scan.timescale).mean(axis=1), kind="stable")]
