"""The frames of a scan's animation: which tokens have one, and the states after them."""

from __future__ import annotations

import numpy as np

from .records import ScanRecord

FRAMES = 98  # at most: half of a window of 14


def shown_tokens(L: int) -> np.ndarray:
    """The tokens after which there is a frame: all, or every k-th and the last, so that there are at most FRAMES."""
    return np.unique(np.append(np.arange(0, L, -(-L // FRAMES)), L - 1))


def state_frames(scan: ScanRecord, window: int) -> np.ndarray:
    """h after each shown token of one window, (frames, D, N), both axes from fast to slow."""
    pace = np.log(scan.timescale)
    channels, states = np.argsort(pace.mean(axis=1), kind="stable"), np.argsort(pace.mean(axis=0), kind="stable")
    return scan.states[window][shown_tokens(scan.states.shape[1])][:, channels][:, :, states]
