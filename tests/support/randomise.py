"""Random parameters and statistics, so that every term of every equation counts.

A freshly made model hides faults: biases are 0, norms are 1, weights of σ = 0.02 make attention almost uniform.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from mvnp.backend import from_numpy, to_numpy
from mvnp.core import Layer

AnyLayer = TypeVar("AnyLayer", bound=Layer)


def randomised(layer: AnyLayer, seed: int = 0) -> AnyLayer:
    """The layer itself, with every weight of order 1/√fan_in, every vector moved, every variance off 1."""
    rng = np.random.default_rng(seed)
    for key, param in layer.named_state():
        value = to_numpy(param.data)
        noise = rng.standard_normal(value.shape)
        if value.dtype.kind != "f":
            continue
        if key.endswith("running_var"):
            value = rng.uniform(0.5, 1.5, value.shape)
        elif value.ndim < 2 or key.endswith("A_log"):
            value = value + 0.3 * noise
        else:
            value = noise / np.sqrt(value[0].size)
        param.data = from_numpy(np.asarray(value, to_numpy(param.data).dtype))
    return layer
