"""A MambaVision small enough for gradient checks, images that suit them, and a way to hand `real` through one."""

from __future__ import annotations

from typing import Any

import numpy as np

from mvnp import MambaVision, Tape
from mvnp.backend import Array
from mvnp.layer import Layer
from mvnp.layers.relu import ReLU

from .randomise import randomised

TINY: dict[str, Any] = {
    "dim": 4,
    "in_dim": 2,
    "depths": (1, 1, 2, 2),
    "num_heads": (1, 1, 2, 2),
    "window_size": (8, 8, 2, 2),
    "mlp_ratio": 2,
    "num_classes": 3,
    "d_state": 2,
}


def tiny(**overrides: Any) -> MambaVision:
    """With random parameters and statistics: see randomise.py."""
    return randomised(MambaVision(**{**TINY, **overrides}), seed=1)


def image_off_kinks(model: MambaVision, shape: tuple[int, ...], training: bool, margin: float = 2e-3) -> np.ndarray:
    """The first random image at which no ReLU of the stem is nearer than `margin` to its kink.

    Central differences across a kink are no derivative. Nothing else in the network has one.
    """
    for seed in range(500):
        x = np.random.default_rng(seed).standard_normal(shape)
        y, nearest, tape = x.transpose(0, 2, 3, 1), np.inf, Tape(training)
        for layer in model.astype("float64").patch_embed.conv_down:
            if isinstance(layer, ReLU):
                nearest = min(nearest, np.abs(y).min())
            y = layer(y, tape)
        if nearest > margin:
            return x
    raise AssertionError("no such image found: ask for a smaller one")


class WithMask(Layer):
    """A layer whose forward takes `real`, as one whose forward does not: gradient checks call forward(x, tape)."""

    def __init__(self, inner: Any, real: Array) -> None:
        self.inner, self.real = inner, real

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.inner.forward(x, tape, self.real)

    def backward(self, dy: Array, tape: Tape) -> Array:
        return self.inner.backward(dy, tape)
