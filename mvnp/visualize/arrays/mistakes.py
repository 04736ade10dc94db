"""What a model takes the pictures of a data set for, and its worst mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...backend import from_numpy, to_numpy
from ...core import Layer
from ...data import BatchLoader
from ...errors import refusing
from ...layers.softmax import softmax_forward


@dataclass(frozen=True)
class Predictions:
    """Probabilities (n, classes) of the pictures of a loader, in its order, and their labels (n,)."""

    probabilities: np.ndarray
    labels: np.ndarray

    def confusion(self) -> np.ndarray:
        """Counts (classes, classes): rows are what pictures are, columns what they are taken for."""
        classes = self.probabilities.shape[1]
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (self.labels, self.probabilities.argmax(axis=1)), 1)
        return counts

    def worst(self, most: int) -> np.ndarray:
        """Positions of mistakes, those first in which the least was given to the true class."""
        true = self.probabilities[np.arange(len(self.labels)), self.labels]
        wrong = np.flatnonzero(self.probabilities.argmax(axis=1) != self.labels)
        return wrong[np.argsort(true[wrong], kind="stable")][:most]


@refusing
def predictions(model: Layer, loader: BatchLoader) -> Predictions:
    """Of all pictures of a loader that does not augment."""
    rows, labels = [], []
    for images, targets in loader.epoch(0):
        rows.append(to_numpy(softmax_forward(model(from_numpy(images)))[0]))
        labels.append(targets)
    return Predictions(np.concatenate(rows), np.concatenate(labels))
