"""How far a feature sees: by gradients, what it does look at; by kernel sizes, what it can at most.

    y (B, C, H', W') of x (B, in_chans, H, W)    token (i, j) of y    k channel

    effective      e_hw = ⟨ Σ_colour |∂y_kij / ∂x_hw| ⟩            the mean over images and channels k             (1)
    theoretical    from the last layer to the first, for each axis, tokens first … last of a layer's output come from
                   convolution     first·s − p … last·s − p + K − 1                                                (2)
                   windows of P    ⌊first/P⌋ P … ⌊last/P⌋ P + P − 1                                                (3)
                   each cut off at the edges of the layer's input

What the steps of a network are its family says. Where tokens see one another through a scan alone, (3) may be an upper bound.

                   squares of P    first·P … last·P + P − 1

Luo, Li, Urtasun, Zemel: Understanding the Effective Receptive Field, arXiv:1701.04128, section 2. (2): Araujo, Norris, Sim:
Computing Receptive Fields of Convolutional Neural Networks (Distill 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...backend import Array, array_module, moved_to, to_numpy
from ...core import Layer, Tape
from ...errors import InputError
from ...models.classifier import Classifier
from .cut import BelowStage
from .families import family_of
from .families.family import Squares, Step, Windows, kernel_of
from .remember import remembered

COPIES_PIXELS = 8 * 64 * 64  # one pass has as many copies of the image, one for each channel, as have about so many pixels


Box = tuple[int, int, int, int]  # first and last row, first and last column, all inside


def effective_field(layer: Layer, images: Array, row: int, column: int, channels: Sequence[int] | None = None) -> np.ndarray:
    """e of (1), (H, W), of the token (row, column) of what `layer` makes of images (B, in_chans, H, W).

    channels    which of its channels k; None: all
    Raises InputError for a token that is not on the map.
    """
    _, C, height, width = layer.forward(images[:1]).shape
    if not (0 <= row < height and 0 <= column < width):
        raise InputError(f"token ({row}, {column}) is not on the map of {height}x{width} tokens")
    chosen = range(C) if channels is None else channels
    at_once = max(1, round(COPIES_PIXELS / math.prod(images.shape[2:])))
    total = np.zeros(images.shape[2:])
    for image in images:
        for first in range(0, len(chosen), at_once):
            some = chosen[first : first + at_once]
            # Evaluation treats the images of a batch one by one, so each copy can be asked for another channel.
            copies = array_module(images).repeat(image[None], len(some), axis=0)
            tape = Tape(training=False)
            y = layer.forward(copies, tape)
            ask = np.zeros(y.shape, y.dtype)
            ask[np.arange(len(some)), list(some), row, column] = 1.0
            gradient = layer.backward(moved_to(y, ask), tape)
            total = total + to_numpy(abs(gradient).sum(axis=(0, 1)))
    return total / (len(images) * len(chosen))


@remembered
def stage_field(
    model: Classifier, image: Array, stage: int, channels: int | None = 16
) -> tuple[np.ndarray, Box, tuple[int, int]]:
    """Effective field (H, W), the box that bounds it, and the token in the middle of the stage's map."""
    below = BelowStage(model, stage)
    _, C, height, width = below.forward(image[:1]).shape
    row, column = height // 2, width // 2
    field = effective_field(below, image, row, column, spread_channels(C, channels))
    return (
        field,
        box_through(family_of(model).steps(model, stage), (image.shape[2], image.shape[3]), row, column),
        (row, column),
    )


def spread_channels(count: int, channels: int | None) -> list[int]:
    """`channels` of `count` channels, evenly spaced; None, or more than there are: all. Raises InputError below 1."""
    if channels is not None and channels < 1:
        raise InputError(f"receptive_field: channels is {channels}, expected at least 1, or None for all")
    number = count if channels is None else min(channels, count)
    return [index * count // number for index in range(number)]


def box_through(steps: Sequence[Step], size: tuple[int, int], row: int, column: int) -> Box:
    """The pixels that token (row, column) can depend on, behind `steps`, for images of `size` (H, W): (2) and (3)."""
    rows, columns = (_interval_through(steps, axis, size[axis], at) for axis, at in enumerate((row, column)))
    return *rows, *columns


def pixels_for_share(field: np.ndarray, share: float) -> int:
    """The smallest number of pixels that have `share` of the field's sum between them."""
    largest_first = np.sort(field, axis=None)[::-1].cumsum(dtype=np.float64)
    return int(np.searchsorted(largest_first, share * largest_first[-1] * (1 - 1e-12))) + 1


def _interval_through(steps: Sequence[Step], axis: int, size: int, at: int) -> tuple[int, int]:
    sizes = [size]  # of each step's input
    for step in steps:
        sizes.append(_output_size(step, axis, sizes[-1]))
    first = last = at
    for step, before in zip(reversed(steps), reversed(sizes[:-1]), strict=True):
        if isinstance(step, Windows):
            first, last = first // step.P * step.P, last // step.P * step.P + step.P - 1
        else:
            K, s, p = kernel_of(step, axis)
            first, last = first * s - p, last * s - p + K - 1
        first, last = max(first, 0), min(last, before - 1)
    return first, last


def _output_size(step: Step, axis: int, size: int) -> int:
    if isinstance(step, Windows):
        return size
    K, s, p = kernel_of(step, axis)
    return -(-size // s) if isinstance(step, Squares) else (size + 2 * p - K) // s + 1
