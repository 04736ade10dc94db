"""A MambaVision small enough for gradient checks, images that suit them, and a way to hand `real` through one."""

from __future__ import annotations

from typing import Any

import numpy as np

from mvnp import MambaVision, Tape
from mvnp.backend import Array
from mvnp.check.model_checks import off_kinks
from mvnp.core import Layer

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


def image_off_kinks(model: MambaVision, shape: tuple[int, ...], training: bool) -> np.ndarray:
    """A random image at which no ReLU is near its kink: central differences across one are no derivative."""
    return off_kinks(model.astype("float64"), shape, training, margin=2e-3)


class WithMask(Layer):
    """A layer whose forward takes `real`, as one whose forward does not: gradient checks call forward(x, tape)."""

    def __init__(self, inner: Any, real: Array) -> None:
        self.inner, self.real = inner, real

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.inner.forward(x, tape, self.real)

    def backward(self, dy: Array, tape: Tape) -> Array:
        return self.inner.backward(dy, tape)
