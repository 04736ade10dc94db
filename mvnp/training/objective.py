"""What a step makes smaller: the loss of a batch, against labels or shares of several classes, and beside a teacher.

    L = cross-entropy or binary cross-entropy of the logits z against the target t
    loss = L + w M(z, z̄)        z̄ the logits of a teacher on the same pictures        (1)

M is MESA (mvnp/layers/mesa.py), where the teacher is the average of the weights; with the logits of another trained network,
and F = T², it is distillation. Nothing flows to the teacher.

Class weights u multiply what an image counts. Of an image with the label y they multiply its whole loss, smoothing included,
by u_y; where the target has shares of several classes, each class's term by its own:

    label     t_c ← u_y ((1 − s) [c = y] + s/K)        shares    t_c ← u_c ((1 − s) t_c + s/K)        (2)

The mean is over the images, not over their weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backend import Array
from ..core import Layer
from ..layers.binary_cross_entropy import binary_cross_entropy_backward, binary_cross_entropy_forward
from ..layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from ..layers.mesa import mesa_backward, mesa_forward

LOSSES = ("cross-entropy", "bce")


@dataclass(frozen=True)
class Teacher:
    """w, z̄ and M of (1). `model` is asked for z̄ in evaluation, and is not changed.

    weight                 w
    temperature, factor    T and F of M
    """

    model: Layer
    weight: float
    temperature: float = 3.0
    factor: float = 50.0


@dataclass(frozen=True)
class Objective:
    """(1) without its teacher, who may change from step to step.

    loss             "cross-entropy" or "bce"
    smoothing        s, share of each target that is spread over all classes
    class_weights    u (classes,) of (2), for the cross-entropy; None: all alike
    threshold        of bce: targets above it are 1, the others 0; None: they stay
    """

    loss: str = "cross-entropy"
    smoothing: float = 0.0
    class_weights: np.ndarray | None = None
    threshold: float | None = None

    def gradient(
        self, x: Array, logits: Array, target: np.ndarray, teacher: Teacher | None, scale: float
    ) -> tuple[Array, Array, Array | None]:
        """The loss of images x, `scale` times its gradient for their logits, and M where there is a teacher."""
        if self.loss == "bce":
            loss, cache = binary_cross_entropy_forward(logits, target, self.smoothing, self.threshold)
            dlogits = binary_cross_entropy_backward(scale, cache)
        else:
            if self.class_weights is None:
                loss, cache = cross_entropy_forward(logits, target, self.smoothing)
            else:
                loss, cache = cross_entropy_forward(
                    logits, weighted(target, self.class_weights, self.smoothing, logits.shape[1])
                )
            dlogits = cross_entropy_backward(scale, cache)
        if teacher is None:
            return loss, dlogits, None
        apart, cache = mesa_forward(logits, teacher.model(x), teacher.temperature, teacher.factor)
        return loss + teacher.weight * apart, dlogits + mesa_backward(scale * teacher.weight, cache), apart


def weighted(target: np.ndarray, weights: np.ndarray, smoothing: float, classes: int) -> np.ndarray:
    """(2), of labels (B,) or shares (B, classes)."""
    if target.dtype.kind == "f":
        return weights * ((1 - smoothing) * target + smoothing / classes)
    one = target[:, None] == np.arange(classes)
    return weights[target, None] * ((1 - smoothing) * one + smoothing / classes)
