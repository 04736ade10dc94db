"""One step of training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backend import Array, array_module, from_numpy, to_numpy
from ..core import Layer, Tape
from ..errors import InputError, TrainingError
from ..execution.half import HalfTape
from ..execution.share import ShareTape
from ..layers.cross_entropy import cross_entropy_backward, cross_entropy_forward
from .clipping import clipped, global_norm
from .distributed import Ranks
from .loss_scale import unscaled
from .objective import weighted
from .optimizer import Optimizer

LOSS = ""  # its name among the gradients, which travel together; no parameter has it


@dataclass(frozen=True)
class StepResult:
    """The loss before the step, in nats, and the norm of all gradients before clipping; None where a step was skipped."""

    loss: float
    grad_norm: float | None


class NonFiniteError(TrainingError):
    """A loss or a gradient that is not finite. The step was not taken."""


class HalfOverflowError(NonFiniteError):
    """A gradient that is not finite, with caches and gradients in float16: with a smaller loss scale it may be. `loss`: the
    loss, which is finite."""

    def __init__(self, loss: float) -> None:
        super().__init__("a gradient overflowed float16")
        self.loss = loss


def train_step(
    model: Layer,
    optimizer: Optimizer,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    lr: float,
    seed: int | list[int] = 0,
    clip_norm: float | None = None,
    label_smoothing: float = 0.0,
    class_weights: np.ndarray | None = None,
    ranks: Ranks | None = None,
    total: int | None = None,
    micro_batch: int = 0,
    loss_scale: float | None = None,
) -> StepResult:
    """Forward, backward, update: one step on images (B, C, H, W) and labels (B,) or distributions (B, classes).

    seed       of dropout and drop path in this step
    clip_norm  limit of the gradients' global norm; None: no limit
    class_weights    (classes,), what the loss of an image counts, by its label; None: all alike
    ranks      that take this step together, each with its own share of the images; None: this process by itself
    total      images of all ranks; None, where this process is by itself: those that it is given
    micro_batch    images at a time that a process may keep caches of the last levels for (execution/checkpointing.py); 0: all
    loss_scale     S of loss_scale.py, and caches and gradients in float16; None: all in the model's own precision

    The host reads two numbers, once, in between. Raises NonFiniteError where one of them is not finite (HalfOverflowError
    where it may be float16 that was too small for a gradient), and then has changed neither the parameters, the optimiser
    nor the running statistics.
    """
    ranks = ranks or Ranks()
    if total is None and ranks.size > 1:
        raise InputError(f"train_step: {ranks.size} ranks share the batch; give total, the number of images of all of them")
    total = len(labels) if total is None else total
    share = len(labels) / total
    whole = (Tape if loss_scale is None else HalfTape)(training=True, seed=seed, inputs=False)
    tape = ShareTape(whole, ranks.shard(total), total, ranks.all_gather, micro_batch=micro_batch)
    # What overflows ends as a loss or a norm that is not finite, here or in the next step, and is reported once.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        logits = model(from_numpy(images), tape)
        if class_weights is None:
            loss, cache = cross_entropy_forward(logits, labels, label_smoothing)
        else:
            loss, cache = cross_entropy_forward(logits, weighted(labels, class_weights, label_smoothing, logits.shape[1]))
        # The mean over the whole batch: the mean over this share, weighted by it, and added up.
        model.backward(cross_entropy_backward(share * (loss_scale or 1.0), cache), tape)
        grads = model.gradients(tape)
        if loss_scale is not None:
            grads = unscaled(grads, loss_scale)
        grads = ranks.all_reduce({**grads, LOSS: loss * share})
        loss = grads.pop(LOSS)
        nats, norm = _read(loss, global_norm(grads))
        if not math.isfinite(nats):
            raise NonFiniteError(f"the loss is {nats}")
        if not math.isfinite(norm):
            raise NonFiniteError(f"the norm of the gradients is {norm}") if loss_scale is None else HalfOverflowError(nats)
        optimizer.step(clipped(grads, norm, clip_norm), lr)
    tape.commit()
    return StepResult(nats, norm)


def _read(*scalars: Array) -> list[float]:
    """0-d arrays as floats, brought from the GPU together."""
    xp = array_module(*scalars)
    return [float(value) for value in to_numpy(xp.stack([scalar.astype("float64") for scalar in scalars]))]
