"""How a gradient fares on its way down through the network: its norm at each block.

    block f with parameters θ, output y

    activations    ‖∂z/∂y‖      what arrives at the block                                   (1)
    parameters     ‖∂z/∂θ‖      all of its parameters together, what training would see     (2)

z is the logit of a class. A loss's gradient is a sum of such gradients, ∂loss/∂z_c times each, and goes the same way.

He et al.: Deep Residual Learning, arXiv:1512.03385, and Identity Mappings, arXiv:1603.05027, eq. 5, for why the residual sum
keeps (1) from fading: dx = dy + fᵀ' dy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...backend import Array, array_module, to_numpy
from ...core import Layer, Tape
from ...models.classifier import Classifier
from .class_evidence import check_image, logit_gradient
from .families import family_of
from .replace_layers import replace_layers


@dataclass(frozen=True)
class BlockGradient:
    """One block. `kind`: 'stem', 'convolution', 'downsampling', 'mixer', 'attention' or 'head'."""

    path: str
    kind: str
    activations: float
    parameters: float


class NormTape(Tape):
    """A tape that also keeps ‖dy‖ of every watched layer's backward, in the order of the backwards."""

    def __init__(self) -> None:
        super().__init__(training=False)
        self.norms: dict[str, Array] = {}


def _watched(kind: type[Layer]) -> type[Layer]:
    """A subclass whose backward notes the norm of what it gets."""

    class Watched(kind):  # type: ignore[valid-type,misc]
        def backward(self, dy: Array, tape: Any) -> Array:
            tape.norms[self.path] = norm(dy)
            return super().backward(dy, tape)

    return Watched


def norm(*arrays: Array) -> Array:
    """The Euclidean norm of all numbers of all arrays, scaled so that squares neither overflow nor vanish; where they are."""
    xp = array_module(*arrays)
    largest = xp.stack([abs(array).max() for array in arrays]).max()
    scale = xp.where(largest > 0, largest, 1.0).astype(largest.dtype)
    return scale * xp.sqrt(sum(xp.square(array / scale).sum() for array in arrays))


def gradients_by_block(model: Classifier, image: Array, target: int | None = None) -> list[BlockGradient]:
    """(1) and (2) for stem, blocks, downsamplings and head, from the image upwards; target None: the largest logit's class."""
    check_image("gradient_flow", model, image)
    family = family_of(model)
    watched, tape = replace_layers(model, {kind: _watched(kind) for kind in family.watched}), NormTape()
    logit_gradient(watched, image, target, tape)
    layers = {path: layer for path, layer in watched.named_layers() if path in tape.norms}
    assert watched.head is not None
    layers[watched.head.path] = watched.head
    tape.norms[watched.head.path] = array_module(image).ones((), image.dtype)  # of the logit itself, where all begins
    found = []
    for path, layer in layers.items():
        gradients = [g for _, param in layer.named_parameters() if (g := tape.gradient(param)) is not None]
        activations, parameters = (float(to_numpy(value)) for value in (tape.norms[path], norm(*gradients)))
        kind = "head" if layer is watched.head else family.kind(layer)
        found.append(BlockGradient(path, kind, activations, parameters))
    return found


def as_series(blocks: list[BlockGradient]) -> dict[str, np.ndarray]:
    """The norms of all blocks as arrays; a norm of 0, which has no place on a logarithmic axis, is NaN."""
    norms = {name: np.array([getattr(block, name) for block in blocks]) for name in ("activations", "parameters")}
    return {name: np.where(values > 0, values, np.nan) for name, values in norms.items()}
