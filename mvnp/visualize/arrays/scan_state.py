"""The arrays behind the figures of a scan: norms, steps, states as lines, the path. nW windows, L tokens each."""

from __future__ import annotations

import numpy as np

from .geometry import Geometry
from .records import ScanRecord


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


def path_points(windows: Geometry) -> np.ndarray:
    """Pixel (x, y) of every token in scan order, float (nW, L, 2). A class token, which has no place, is drawn where it is
    read: half-way between its neighbours, or a cell before or behind the first or last token."""
    points = windows.pixel(0) + windows.positions[..., ::-1] * float(windows.stride)
    for window, token in np.argwhere(~windows.on_map):
        near = [points[window, each] for each in (token - 1, token + 1) if 0 <= each < points.shape[1]]
        aside = (np.array([windows.stride, 0]) if token else np.array([-windows.stride, 0])) * (len(near) == 1)
        points[window, token] = sum(near) / len(near) + aside
    return points


def _scanned(scan: ScanRecord) -> np.ndarray:
    """bool (nW, L): a masked token has Δ = 0 in every channel, and no other has."""
    return np.any(scan.delta, axis=-1)
