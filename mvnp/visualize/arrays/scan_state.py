"""The arrays behind the figures of a scan: norms, steps, states as lines, the path. nW windows, L tokens each."""

from __future__ import annotations

import numpy as np

from .geometry import WindowGeometry
from .internals import ScanRecord


def state_norms(scan: ScanRecord) -> np.ndarray:
    """‖h_t‖ over all channels and states, (nW, L); NaN where the token was passed over, as masked padding is."""
    return np.where(_scanned(scan), np.sqrt(np.square(scan.states).sum(axis=(2, 3))), np.nan)


def mean_steps(scan: ScanRecord) -> np.ndarray:
    """Δ_t, averaged over the channels, (nW, L); NaN where the token was passed over."""
    return np.where(_scanned(scan), scan.delta.mean(axis=-1), np.nan)


def states_by_timescale(scan: ScanRecord) -> tuple[np.ndarray, np.ndarray]:
    """States as lines, (D·N, nW·L), fastest first and windows one after the other; and the timescale of each line."""
    order = np.argsort(scan.timescale, axis=None, kind="stable")
    lines = scan.states.reshape(-1, scan.timescale.size).T
    return lines[order], scan.timescale.ravel()[order]


def path_points(windows: WindowGeometry) -> np.ndarray:
    """Pixel (x, y) of every token in scan order, float (nW, P·P, 2)."""
    return windows.positions[..., ::-1] * float(windows.stride)


def _scanned(scan: ScanRecord) -> np.ndarray:
    """bool (nW, L): a masked token has Δ = 0 in every channel, and no other has."""
    return np.any(scan.delta, axis=-1)
