"""One step of training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backend import Array, array_module, from_numpy, to_numpy
from ..errors import TrainingError
from ..layer import Layer
from ..layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from .adamw import AdamW
from .clipping import clipped, global_norm
from .ranks import Ranks

LOSS = ""  # its name among the gradients, which travel together; no parameter has it


@dataclass(frozen=True)
class StepResult:
    """The loss before the step, in nats, and the norm of all gradients before clipping."""

    loss: float
    grad_norm: float


class NonFiniteError(TrainingError):
    """A loss or a gradient that is not finite. The step was not taken."""


def train_step(
    model: Layer,
    optimizer: AdamW,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    lr: float,
    seed: int | list[int] = 0,
    clip_norm: float | None = None,
    label_smoothing: float = 0.0,
    ranks: Ranks | None = None,
    total: int | None = None,
    micro_batch: int = 0,
) -> StepResult:
    """Forward, backward, update: one step on images (B, C, H, W) and labels (B,) or distributions (B, classes).

    seed       of dropout and drop path in this step
    clip_norm  limit of the gradients' global norm; None: no limit
    ranks      that take this step together, each with its own share of the images; None: this process by itself
    total      images of all ranks
    micro_batch    images at a time that a process may keep caches of the last levels for (mvnp/recompute.py); 0: all

    The host reads two numbers, once, in between. Raises NonFiniteError where one of them is not finite, and then has
    changed neither the parameters, the optimiser nor the running statistics.
    """
    ranks = ranks or Ranks()
    total = len(labels) if total is None else total
    share = len(labels) / total
    tape = ranks.tape(seed, total)
    tape.micro_batch = micro_batch
    # What overflows ends as a loss or a norm that is not finite, here or in the next step, and is reported once.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        logits = model(from_numpy(images), tape)
        loss, cache = cross_entropy_forward(logits, labels, label_smoothing)
        # The mean over the whole batch: the mean over this share, weighted by it, and added up.
        model.backward(cross_entropy_backward(share, cache), tape)
        gradients = ranks.add_up({**model.gradients(tape), LOSS: loss * share})
        loss = gradients.pop(LOSS)
        result = StepResult(*_read(loss, global_norm(gradients)))
        if not math.isfinite(result.loss):
            raise NonFiniteError(f"the loss is {result.loss}")
        if not math.isfinite(result.grad_norm):
            raise NonFiniteError(f"the norm of the gradients is {result.grad_norm}")
        optimizer.step(clipped(gradients, result.grad_norm, clip_norm), lr)
    tape.commit()
    return result


def _read(*scalars: Array) -> list[float]:
    """0-d arrays as floats, brought from the GPU together."""
    xp = array_module(*scalars)
    return [float(value) for value in to_numpy(xp.stack([scalar.astype("float64") for scalar in scalars]))]
