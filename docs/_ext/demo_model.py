"""The model that `mvnp demo` trains (seed 0), for figures that need one that has learnt something; and its test images.

mvnp demo
mvnp convert mvnp-demo/best.safetensors docs/figures/demo.safetensors --dtype float16
"""

from functools import cache
from pathlib import Path

import numpy as np

from mvnp import MambaVision
from mvnp.checkpoint import Pretrained, read_pretrained
from mvnp.data import load_dataset
from mvnp.data.transforms import prepare

FILE = Path(__file__).parents[1] / "figures" / "demo.safetensors"


@cache
def demo() -> Pretrained:
    """The trained model, with its classes."""
    return read_pretrained(FILE)


def model() -> MambaVision:
    """The trained model."""
    return demo().model


def picture(number: int) -> np.ndarray:
    """Test picture `number` of Fashion-MNIST, uint8 (28, 28)."""
    return load_dataset("fashion-mnist-small")[1].images[number, ..., 0]


def image(number: int) -> np.ndarray:
    """The same as the model takes it, (1, 1, 64, 64)."""
    images = load_dataset("fashion-mnist-small")[1].images[number : number + 1]
    given = demo().images
    assert given is not None
    return prepare(images, given["size"], given["mean"], given["std"])


def first_of(name: str) -> np.ndarray:
    """The first test picture of a class, as `image` gives it."""
    labels = load_dataset("fashion-mnist-small")[1].labels
    return image(int(np.argmax(labels == (demo().classes or ()).index(name))))
