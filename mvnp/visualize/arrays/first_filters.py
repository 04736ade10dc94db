"""The kernels of the first convolution, and what each finds in an image."""

from __future__ import annotations

from ...backend import Array
from ...models.classifier import Classifier
from .families import family_of
from .families.family import FirstLayer


def first_layer(model: Classifier, image: Array) -> FirstLayer:
    """The kernels (O, C, K, K), the answers (O, H', W'), and in words what these are: a MambaVision has BatchNorm's gain in its
    kernels, and its answers are those after BatchNorm and ReLU."""
    return family_of(model).first_layer(model, image)
