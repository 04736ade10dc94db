"""x σ(x) and its slope; behind them what leaves the convolutions of a trained mixer."""

import numpy as np
from curves import caches, curves
from matplotlib.figure import Figure

from mvnp.layers.silu import SiLU, silu_backward, silu_forward


def draw() -> Figure:
    inputs = np.concatenate([x.ravel() for _, x in caches(SiLU)])
    return curves("SiLU", {"": (silu_forward, silu_backward)}, inputs)
