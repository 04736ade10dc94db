"""What pictures show: the classes that a model finds likeliest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import from_numpy, to_numpy
from ..data import ImageTransform
from ..data.image_file import MAX_BYTES
from ..errors import DataError, InputError, refusing
from ..models.arguments import check_integer
from ..models.classifier import Classifier
from .class_names import IMAGENET_CLASSES, imagenet_names
from .pictures import PictureBatch, check_finite, picture_batches


@dataclass(frozen=True)
class Prediction:
    """Of one file: the likeliest classes, most likely first, and their probabilities (softmax); or why it could not be read."""

    file: Path
    classes: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: DataError | None = None


@refusing
def classify(
    model: Classifier,
    files: Sequence[Path],
    transform: ImageTransform,
    top: int = 5,
    batch_size: int = 16,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Prediction]:
    """A Prediction for each file, in order, as they come.

    top          how many classes; all of them where the model has fewer
    max_bytes    what one picture may take once it is decoded

    Raises InputError for a model without a head.
    """
    check_head(model)
    errors: dict[int, DataError] = {}
    for batch in picture_batches(files, transform, batch_size, errors.__setitem__, max_bytes=max_bytes):
        found = dict(_predictions(model, batch, files, min(top, model.num_classes)))
        for position in range(batch.start, batch.stop):
            yield found.get(position) or Prediction(files[position], error=errors.pop(position))


def likeliest(
    model: Classifier, pictures: Sequence[Any], top: int = 5, batch_size: int = 16
) -> Iterator[list[tuple[str | None, int, float]]]:
    """(name, number, probability) of the likeliest classes of each picture, which `model.transform` takes.

    Raises InputError for a model without a head or that cannot prepare pictures, and for another argument that cannot be;
    DataError for a file that is no picture.
    """
    if not isinstance(model, Classifier):
        raise InputError(
            f"classify: the model is a {type(model).__name__}, expected a MambaVision, a Vim or a"
            " VMamba, say from load_pretrained; the pictures come first, then the model"
        )
    check_head(model)
    check_integer("classify", "top", top, least=1)
    check_integer("classify", "batch_size", batch_size, least=1)
    names = model.classes or (imagenet_names() if model.num_classes == IMAGENET_CLASSES else None)
    for first in range(0, len(pictures), batch_size):
        x = np.stack([model.transform(picture) for picture in pictures[first : first + batch_size]])
        logits = to_numpy(model(from_numpy(x))).astype(np.float64)
        for chosen, shares in _ranked(logits, min(top, model.num_classes)):
            yield [(names[i] if names else None, i, share) for i, share in zip(chosen, shares, strict=True)]


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
    ranked = _ranked(logits_of(model, batch, files), top)
    for position, (classes, probabilities) in zip(batch.positions, ranked, strict=True):
        yield position, Prediction(files[position], classes, probabilities)


def _ranked(logits: np.ndarray, top: int) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    """The `top` classes with the largest logits (B, C) of each sample, and their probabilities."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    for chosen, share in zip(order, shares, strict=True):
        classes = tuple(int(index) for index in chosen)
        yield classes, tuple(float(share[index]) for index in classes)
