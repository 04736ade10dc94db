"""Which channels of a stage say most about an image."""

from __future__ import annotations

import numpy as np


def strongest_channels(stack: np.ndarray, count: int) -> list[int]:
    """The `count` channels of a stage (C, H, W) with the largest standard deviation over the places, the largest first."""
    spread = stack.reshape(len(stack), -1).std(axis=1)
    return [int(channel) for channel in np.argsort(-spread, kind="stable")[:count]]
