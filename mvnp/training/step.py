"""One step of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..backend import Array, from_numpy
from ..core import Layer, Tape
from ..errors import InputError, TrainingError, refusing
from ..execution.half import HalfTape
from ..execution.share import ShareTape
from .clipping import global_norm
from .distributed import Ranks
from .loss_scale import unscaled
from .objective import Objective, Teacher
from .optimizer import Optimizer
from .updates import guarded_update, read

# Their names among the gradients, which travel together; no parameter has them.
LOSS, APART = "", " "

Batch = tuple[np.ndarray, np.ndarray, int | None]  # images, labels, and how many images all ranks have of it


@dataclass(frozen=True)
class StepResult:
    """The loss before the step, in nats, and the norm of all gradients before clipping; None where a step was skipped.

    apart       how far the prediction was from the teacher's (MESA, not weighted); None: there was none
    by_depth    the norm of the gradients at each depth, where it was asked for
    """

    loss: float
    grad_norm: float | None
    apart: float | None = None
    by_depth: dict[int, float] | None = None


class NonFiniteError(TrainingError):
    """A loss or a gradient that is not finite. The step was not taken."""


class HalfOverflowError(NonFiniteError):
    """A gradient that is not finite, with caches and gradients in float16: with a smaller loss scale it may be. `loss`: the
    loss, which is finite."""

    def __init__(self, loss: float) -> None:
        super().__init__("a gradient overflowed float16")
        self.loss = loss


@refusing
def train_step(
    model: Layer,
    optimizer: Optimizer,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    lr: float,
    seed: int | list[int] = 0,
    clip_norm: float | None = None,
    loss: str = "cross-entropy",
    label_smoothing: float = 0.0,
    class_weights: np.ndarray | None = None,
    bce_threshold: float | None = None,
    teacher: Teacher | None = None,
    ranks: Ranks | None = None,
    total: int | None = None,
    more: Sequence[Batch] = (),
    micro_batch: int = 0,
    loss_scale: float | None = None,
    depth_of: Callable[[str], int] | None = None,
) -> StepResult:
    """Forward, backward, update: one step on images (B, C, H, W) and labels (B,) or distributions (B, classes).

    seed       of dropout and drop path in this step
    clip_norm  limit of the gradients' global norm; None: no limit
    loss, label_smoothing, class_weights, bce_threshold    see objective.py
    teacher    who the prediction is held to as well (objective.py); None: nobody
    ranks      that take this step together, each with its own share of the images; None: this process by itself
    total      images of all ranks; None, where this process is by itself: those that it is given
    more       batches after the first: gradients are accumulated over all, and the update is by their mean. Each has batch
               statistics of its own, and so it is another step than one with a batch of all their images
    micro_batch    images at a time that a process may keep caches of the last levels for (execution/checkpointing.py); 0: all.
               The same step, in less memory
    loss_scale     S of loss_scale.py, and caches and gradients in float16; None: all in the model's own precision
    depth_of   for `by_depth` of the result: the depth of a parameter, by its key

    The host reads two numbers, once, and with a teacher a third. Raises NonFiniteError where one of them is not finite
    (HalfOverflowError where it may be float16 that was too small for a gradient), and then has changed neither the parameters,
    the optimiser nor the running statistics.
    """
    ranks = ranks or Ranks()
    objective = Objective(loss, label_smoothing, class_weights, bce_threshold)
    batches: list[Batch] = [(images, labels, total), *more]
    if ranks.size > 1 and any(count is None for *_, count in batches):
        raise InputError(f"train_step: {ranks.size} ranks share the batch; give total, the number of images of all of them")
    buffers = [param for _, param in model.named_state() if not param.trainable] if more else []
    before = [buffer.data.copy() for buffer in buffers]
    sums: dict[str, Array] = {}
    # What overflows ends as a loss or a norm that is not finite, here or in the next step, and is reported once.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for number, (x, target, count) in enumerate(batches):
            count = len(target) if count is None else count
            own = seed if not number else [*(seed if isinstance(seed, list) else [seed]), number]
            whole = (Tape if loss_scale is None else HalfTape)(training=True, seed=own, inputs=False)
            tape = ShareTape(whole, ranks.shard(count), count, ranks.all_gather, micro_batch=micro_batch)
            # The mean over the whole batch: the mean over this share, weighted by it, and added up.
            share = len(target) / count / len(batches)
            grads = _gradients(model, tape, from_numpy(x), target, objective, teacher, share, loss_scale)
            sums = grads if not number else {name: sums[name] + gradient for name, gradient in grads.items()}
            if more:
                tape.commit()  # the running statistics of the next batch go on from these
        grads = ranks.all_reduce(sums)
        told, apart = grads.pop(LOSS), grads.pop(APART, None)
        nats, norm = guarded_update(told, optimizer, grads, lr, clip_norm)
        if not (math.isfinite(nats) and math.isfinite(norm)):
            for buffer, kept in zip(buffers, before, strict=True):
                buffer.data = kept
        if not math.isfinite(nats):
            raise NonFiniteError(f"the loss is {nats}")
        if not math.isfinite(norm):
            raise NonFiniteError(f"the norm of the gradients is {norm}") if loss_scale is None else HalfOverflowError(nats)
    tape.commit()
    by_depth = None if depth_of is None else norms_by_depth(grads, depth_of)
    return StepResult(nats, norm, None if apart is None else read(apart)[0], by_depth)


def norms_by_depth(grads: dict[str, Array], depth_of: Callable[[str], int]) -> dict[int, float]:
    """The norm of the gradients of all parameters at each depth."""
    groups: dict[int, dict[str, Array]] = {}
    for name, gradient in grads.items():
        groups.setdefault(depth_of(name), {})[name] = gradient
    norms = read(*(global_norm(group) for group in groups.values()))
    return dict(sorted(zip(groups, norms, strict=True)))


def _gradients(
    model: Layer,
    tape: Tape,
    x: Array,
    target: np.ndarray,
    objective: Objective,
    teacher: Teacher | None,
    share: float,
    loss_scale: float | None,
) -> dict[str, Array]:
    """`share` times the gradients of one batch's loss, and among them that loss."""
    loss, dlogits, apart = objective.gradient(x, model(x, tape), target, teacher, share * (loss_scale or 1.0))
    model.backward(dlogits, tape)
    grads = model.gradients(tape)
    if loss_scale is not None:
        grads = unscaled(grads, loss_scale)
    found = {**grads, LOSS: loss * share}
    return found if apart is None else {**found, APART: apart * share}
