"""How well a model does on images that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..backend import Array, array_module, from_numpy, to_numpy
from ..core import Layer
from ..data import BatchLoader
from ..errors import InputError, refusing
from ..execution.fixed import fixed_weights
from ..layers.cross_entropy import cross_entropy_forward
from .distributed import Ranks


@dataclass(frozen=True)
class Evaluation:
    """Share of images whose class has the largest logit, mean cross-entropy in nats, and number of images.

    mean_accuracy    the mean over the classes, of those that have images, of the share that is right among theirs: rare
                     classes count as much as frequent ones
    """

    accuracy: float
    loss: float
    count: int
    mean_accuracy: float


@refusing
def evaluate(
    model: Layer, loader: BatchLoader, on_batch: Callable[[int], None] | None = None, ranks: Ranks | None = None
) -> Evaluation:
    """Accuracy and loss of `model` over all batches of `loader`, with running statistics and without dropout.

    on_batch    called with the number of each batch once it is under way; what it raises ends the evaluation
    ranks       that take the batches in turn; None: this process by itself. Each calls on_batch equally often: with the
                number of the first rank's batch
    """
    ranks = ranks or Ranks()
    if not len(loader):
        raise InputError("evaluate: the loader has no batches, expected at least one")
    sums: dict[int, Array] = {}
    with fixed_weights():
        for number in range(0, len(loader), ranks.size):
            own = number + ranks.rank
            if own < len(loader):
                images, labels = loader.batch(0, own)
                with np.errstate(all="ignore"):  # a model that has diverged is told of by its loss
                    logits = model(from_numpy(images))
                sums[own] = _loss_and_correct(logits, labels)
            if on_batch is not None:
                on_batch(number)
    # One read for all batches: a GPU is not made to wait between them.
    found = to_numpy(array_module(*sums.values()).stack(list(sums.values()))) if sums else np.zeros((0, 1))
    by_batch = {number: row for rows in ranks.all_gather(list(zip(sums, found, strict=True))) for number, row in rows}
    # In the order of the batches: the sum does not depend on who took which.
    loss, *correct = np.stack([by_batch[number] for number in sorted(by_batch)]).sum(axis=0)
    count = sum(loader.batch_length(number) for number in range(len(loader)))
    shown = np.bincount(loader.dataset.labels[loader.order(0)][:count], minlength=len(correct))
    by_class = np.array(correct)[shown > 0] / shown[shown > 0]
    return Evaluation(float(sum(correct)) / count, float(loss) / count, count, float(by_class.mean()))


def _loss_and_correct(logits: Array, labels: np.ndarray) -> Array:
    """The sum of the losses, and how many of each class are right: float64 (1 + C,), on the logits' device."""
    xp = array_module(logits)
    with np.errstate(over="ignore", invalid="ignore"):
        loss, _ = cross_entropy_forward(logits, labels)
    labels = from_numpy(labels)
    right = (logits.argmax(axis=1) == labels)[:, None] & (labels[:, None] == xp.arange(logits.shape[1]))
    return xp.concatenate([loss.astype("float64").reshape(1) * len(labels), right.sum(axis=0).astype("float64")])
