"""What pictures ask of a family of networks, beyond what every `Classifier` has.

    family_of(model).levels(model, tape)      where the tokens of its mixers stand
    family_of(model).steps(model, stage)      what mixes places between the image and a stage

It is looked up by the class of the network. CONTRIBUTING.md says how one is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ....backend import Array
from ....core import Layer, Tape
from ....errors import InputError
from ....layers.conv2d import Conv2d
from ....models.classifier import Classifier, channel_first
from ..geometry import Geometry


class Windows(NamedTuple):
    """A place where tokens are mixed in windows of P·P."""

    P: int


class Squares(NamedTuple):
    """A place where each square of P·P tokens becomes one; what P does not divide is completed with zeros."""

    P: int


Step = Conv2d | Windows | Squares

WHOLE_MAP = Windows(1 << 30)  # one window that holds any map


class FirstLayer(NamedTuple):
    """Kernels (O, C, K, K) of the first layer, its answers (O, H', W') to an image, and in words what these are."""

    kernels: np.ndarray
    answers: np.ndarray
    words: str


class Family:
    """One family. What raises NotImplementedError here it says itself."""

    # The layers whose gradients are followed through the depth.
    watched: ClassVar[tuple[type[Layer], ...]] = ()

    # Its name and source, for pages.
    paper: ClassVar[str] = ""

    def levels(self, model: Any, tape: Tape) -> dict[str, Geometry]:
        """By the path of a level, where its tokens stand, from what a forward left on the tape."""
        raise NotImplementedError

    def tokens(self, model: Any, path: str, level: Geometry) -> Geometry:
        """Where those of one mixer stand, in the order in which it is given them."""
        return level

    def steps(self, model: Any, stage: int) -> list[Step]:
        """What mixes places between the image and a stage, in the order in which it runs."""
        raise NotImplementedError

    def stage_layer(self, model: Any, stage: int) -> Layer:
        """The layer whose output is the stage. Raises InputError where there is none."""
        raise NotImplementedError

    def stage_map(self, model: Any, output: Array) -> Array:
        """A map (B, C, H, W), of what the layer of a stage gives; or of the gradient of that."""
        return channel_first(output)

    def kind(self, layer: Layer) -> str:
        """What a watched layer is: a name in figures/gradient_flow.py."""
        raise NotImplementedError

    def first_layer(self, model: Any, image: Array) -> FirstLayer:
        """The layer that reads the image, and its answers."""
        raise NotImplementedError


FAMILIES: dict[type[Classifier], Family] = {}


def describes(kind: type[Classifier]) -> Any:
    """Decorates the class that answers for networks of this class."""

    def decorate(family: type[Family]) -> type[Family]:
        FAMILIES[kind] = family()
        return family

    return decorate


def family_of(model: Classifier) -> Family:
    """What answers for this model. Raises InputError for a network of no known class."""
    for kind in type(model).__mro__:
        if kind in FAMILIES:
            return FAMILIES[kind]
    known = ", ".join(kind.__name__ for kind in FAMILIES)
    raise InputError(f"there are no pictures of a {type(model).__name__}; there are of {known}")


def offset_of(steps: Sequence[Step]) -> float:
    """The pixel on which token (0, 0) behind these steps is centred, for square kernels."""
    offset, stride = 0.0, 1
    for step in steps:
        if not isinstance(step, Windows):
            K, s, p = kernel_of(step, 0)
            offset, stride = offset + stride * ((K - 1) / 2 - p), stride * s
    return offset


def kernel_of(step: Conv2d | Squares, axis: int) -> tuple[int, int, int]:
    """Kernel size, stride and padding of a step along an axis."""
    if isinstance(step, Squares):
        return step.P, step.P, 0
    return step.weight.shape[2 + axis], step.stride[axis], step.padding[axis]
