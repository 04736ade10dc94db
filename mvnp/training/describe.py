"""What is noted of model and data in a run's checkpoints: what it takes to use the weights without the program that trained."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..core import Layer
from ..data import BatchLoader, ImageTransform
from ..errors import refusing


@refusing
def describe(model: Layer, loader: BatchLoader) -> dict[str, Any]:
    """The model's class and arguments, the classes, and how images are prepared; of a model of your own, without a config, the
    last two."""
    about: dict[str, Any] = {
        "classes": [str(name) for name in loader.dataset.classes],
        "image_size": loader.image_size,
        "mean": [float(value) for value in loader.mean],
        "std": [float(value) for value in loader.std],
        "images": asdict(ImageTransform.of_loader(loader)),
    }
    config = getattr(model, "config", None)
    return {"model": config, "class": type(model).__name__, **about} if isinstance(config, dict) else about
