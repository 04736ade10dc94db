"""Models that have learnt something, for figures that need one, and their test images: what `mvnp demo` trains (seed 0),
and the small ones of the other families.

mvnp demo
mvnp convert mvnp-demo/best.safetensors docs/figures/demo.safetensors --dtype float16
mvnp train --model vim_demo --out vim
mvnp convert vim/best.safetensors docs/figures/vim_demo.safetensors --dtype float16
mvnp train --model vmamba_demo --out vmamba
mvnp convert vmamba/best.safetensors docs/figures/vmamba_demo.safetensors --dtype float16
"""

from functools import cache
from pathlib import Path

import numpy as np

from mvnp.checkpoint import Pretrained, read_pretrained
from mvnp.data import load_dataset
from mvnp.data.transforms import prepare
from mvnp.models import Classifier

FOLDER = Path(__file__).parents[1] / "figures"


@cache
def demo(name: str = "demo") -> Pretrained:
    """A trained model, with its classes: "demo", "vim_demo" or "vmamba_demo"."""
    return read_pretrained(FOLDER / f"{name}.safetensors")


def model(name: str = "demo") -> Classifier:
    """The trained model."""
    return demo(name).model


def picture(number: int) -> np.ndarray:
    """Test picture `number` of Fashion-MNIST, uint8 (28, 28)."""
    return load_dataset("fashion-mnist-small")[1].images[number, ..., 0]


def image(number: int, name: str = "demo") -> np.ndarray:
    """The same as a model takes it: as "demo" does, (1, 1, 64, 64)."""
    images = load_dataset("fashion-mnist-small")[1].images[number : number + 1]
    given = demo(name).images
    assert given is not None
    return prepare(images, given["size"], given["mean"], given["std"])


def first_of(kind: str, name: str = "demo") -> np.ndarray:
    """The first test picture of a class, as `image` gives it."""
    labels = load_dataset("fashion-mnist-small")[1].labels
    return image(int(np.argmax(labels == (demo().classes or ()).index(kind))), name)
