"""What a model says of images, and how sure it is."""

from __future__ import annotations

import numpy as np

from ...backend import Array, to_numpy
from ...layers.softmax import softmax_forward
from ...models.classifier import Classifier


def predict(model: Classifier, images: Array) -> np.ndarray:
    """The probability of each class, float64 (B, num_classes) on the host."""
    probabilities, _ = softmax_forward(to_numpy(model(images)).astype(np.float64))
    return probabilities
