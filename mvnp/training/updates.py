"""A step of an optimiser that is taken only where loss and gradients are finite.

On a GPU nothing is read before the step: the twin decides there, and the host learns of it afterwards
(mvnp/kernels/cuda/updates.py)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..backend import Array, array_module, to_numpy
from ..kernels import twin
from .clipping import clipped, global_norm
from .optimizer import Optimizer


@twin
def guarded_update(
    loss: Array, optimizer: Optimizer, gradients: Mapping[str, Array], lr: float, clip_norm: float | None
) -> tuple[float, float]:
    """The loss, a 0-d array, and the global norm of the gradients, as numbers; where both are finite, a step of the optimiser
    with the gradients clipped to `clip_norm`. Where one is not, nothing has changed."""
    nats, norm = read(loss, global_norm(gradients))
    if math.isfinite(nats) and math.isfinite(norm):
        optimizer.step(clipped(gradients, norm, clip_norm), lr)
    return nats, norm


def read(*scalars: Array) -> list[float]:
    """0-d arrays as floats, brought from the GPU together."""
    xp = array_module(*scalars)
    return [float(value) for value in to_numpy(xp.stack([scalar.astype("float64") for scalar in scalars]))]
