"""x σ(x) and its slope; behind them what leaves the convolutions of a trained mixer."""

import numpy as np
from curves import caches, curves
from matplotlib.figure import Figure

from mvnp.layers.conv1d import Conv1d, conv1d_forward
from mvnp.layers.silu import silu_backward, silu_forward


def draw() -> Figure:
    inputs = np.concatenate([conv1d_forward(*cache)[0].ravel() for _, cache in caches(Conv1d)])
    return curves("SiLU", {"": (silu_forward, silu_backward)}, inputs)
