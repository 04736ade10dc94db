"""x σ(x) and its slope; behind them what leaves the convolutions of a trained mixer."""

import numpy as np
from curves import caches, curves
from matplotlib.figure import Figure

from mvnp.layers.conv1d import Conv1d
from mvnp.layers.silu import silu_backward, silu_forward


def draw() -> Figure:
    inputs = np.concatenate([v.ravel() for _, (_, _, _, v) in caches(Conv1d)])
    return curves("SiLU", {"": (silu_forward, silu_backward)}, inputs)
