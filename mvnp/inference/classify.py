"""What pictures show: the classes that a model finds likeliest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backend import from_numpy, to_numpy
from ..data import ImageTransform
from ..errors import DataError, InputError
from ..models.classifier import Classifier
from .pictures import PictureBatch, check_finite, picture_batches


@dataclass(frozen=True)
class Prediction:
    """Of one file: the likeliest classes, most likely first, and their probabilities (softmax); or why it could not be read."""

    file: Path
    classes: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: DataError | None = None


def classify(
    model: Classifier, files: Sequence[Path], transform: ImageTransform, top: int = 5, batch_size: int = 16
) -> Iterator[Prediction]:
    """A Prediction for each file, in order, as they come.

    top    how many classes; all of them where the model has fewer

    Raises InputError for a model without a head.
    """
    check_head(model)
    errors: dict[int, DataError] = {}
    for batch in picture_batches(files, transform, batch_size, errors.__setitem__):
        found = dict(_predictions(model, batch, files, min(top, model.num_classes)))
        for position in range(batch.start, batch.stop):
            yield found.get(position) or Prediction(files[position], error=errors.pop(position))


def check_head(model: Classifier) -> None:
    """Raise InputError for a model that gives no logits."""
    if model.head is None:
        raise InputError("the model has no head (num_classes is 0): it gives features, and no classes; see mvnp features")


def logits_of(model: Classifier, batch: PictureBatch, files: Sequence[Path]) -> np.ndarray:
    """float64 (B, num_classes), on the host. Raises CheckpointError where they are not finite."""
    with np.errstate(all="ignore"):  # told better by the check
        logits = to_numpy(model(from_numpy(batch.x))).astype(np.float64)
    check_finite(logits, batch, files)
    return logits


def _predictions(model: Classifier, batch: PictureBatch, files: Sequence[Path], top: int) -> Iterator[tuple[int, Prediction]]:
    if not batch.positions:
        return
    logits = logits_of(model, batch, files)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    for position, chosen, share in zip(batch.positions, order, shares, strict=True):
        classes = tuple(int(index) for index in chosen)
        yield position, Prediction(files[position], classes, tuple(float(share[index]) for index in classes))
