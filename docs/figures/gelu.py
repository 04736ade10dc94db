"""Both forms of GELU and their slopes; behind them what reaches the GELUs of a trained model."""

import numpy as np
from curves import caches, curves
from matplotlib.figure import Figure

from mvnp.layers.gelu import GELU, gelu_backward, gelu_forward, gelu_tanh_backward, gelu_tanh_forward


def draw() -> Figure:
    pairs = {"exact": (gelu_forward, gelu_backward), "tanh": (gelu_tanh_forward, gelu_tanh_backward)}
    return curves("GELU", pairs, np.concatenate([x.ravel() for _, x in caches(GELU)]))
