"""max(x, 0) and its slope; behind them what reaches the ReLUs of a trained stem."""

import numpy as np
from curves import caches, curves
from matplotlib.figure import Figure

from mvnp.layers.batchnorm import BatchNorm
from mvnp.layers.relu import relu_backward, relu_forward


def draw() -> Figure:
    inputs = []
    for layer, (x, weight, mean, rstd) in caches(BatchNorm):
        if layer.path.startswith("patch_embed"):
            inputs.append(((x - mean) * rstd * weight + layer.bias.data).ravel())
    return curves("ReLU", {"": (relu_forward, relu_backward)}, np.concatenate(inputs))
