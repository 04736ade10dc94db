"""What an image counts in the loss, by its class."""

from __future__ import annotations

import numpy as np

from ..data import Dataset
from ..errors import InputError, nearest
from .config import TrainingConfig


def class_weights(config: TrainingConfig, data: Dataset) -> np.ndarray | None:
    """What an image counts in the loss, by its label: float64 (classes,); None: all alike.

    "balanced" is n / (K n_c), of n images of K classes, n_c of each: one on the average over the images, and the same for every
    class as a whole. Raises InputError for weights that do not name the classes.
    """
    chosen = config.class_weights
    if chosen is None:
        return None
    if isinstance(chosen, dict):
        strange = [name for name in chosen if name not in data.classes]
        missing = [name for name in data.classes if name not in chosen]
        if strange or missing:
            what = f"has no class {strange[0]!r}{nearest(strange[0], data.classes)}" if strange else f"also has {missing[0]!r}"
            raise InputError(f"class weights are to name every class of {data.name}, which {what}: {', '.join(data.classes)}")
        weights = np.array([chosen[name] for name in data.classes], np.float64)
        if not weights.any():
            raise InputError("class weights are all 0, expected one above 0 at least")
        return weights
    counts = data.counts
    return np.where(counts > 0, len(data) / ((counts > 0).sum() * np.maximum(counts, 1)), 0.0)
