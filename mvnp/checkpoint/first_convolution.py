"""Weights of images with another number of channels: the first convolution is adapted, as timm does it.

    weight (out, C, kh, kw)  to  (out, 1, kh, kw)       Σ over its C input channels: what it gives for an image whose channels
                                                        are all the same, from one of them
                             to  (out, C', kh, kw)      its channels in turn, again and again, times C/C': what it gives for an
                                                        image of one value stays the same where C divides C'

Mean and deviation, by which images are standardised, follow: their means over the channels, or in turn again.

timm (Ross Wightman), `adapt_input_conv`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import CheckpointError


def adapted(weight: np.ndarray, channels: int) -> np.ndarray:
    """A convolution's weight (out, C, kh, kw) for images of `channels`, in its own dtype."""
    present = weight.shape[1]
    if channels == present:
        return weight
    if weight.dtype.kind != "f":
        raise CheckpointError(f"has a first convolution of {weight.dtype}, which cannot be adapted to {channels} channels")
    wide = weight.astype(np.float64)  # sums of float16 would lose digits
    if channels == 1:
        return wide.sum(axis=1, keepdims=True).astype(weight.dtype)
    turns = [channel % present for channel in range(channels)]
    return (wide[:, turns] * (present / channels)).astype(weight.dtype)


def adapted_images(images: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """How images are prepared, with mean and deviation for each of `channels`."""
    changed = {**images, "channels": channels}
    for name in ("mean", "std"):
        values = images.get(name)
        if not isinstance(values, list | tuple) or not values or not all(isinstance(v, int | float) for v in values):
            continue
        if channels == 1:
            changed[name] = (round(float(np.mean(values)), 6),)
        else:
            changed[name] = tuple(values[channel % len(values)] for channel in range(channels))
    return changed


def told(present: int, channels: int) -> str:
    """What was done, in one line."""
    if channels == 1:
        return f"the weights are of images with {present} channels: the first convolution was summed over them, for one"
    return (
        f"the weights are of images with {present} channel{'s' * (present > 1)}: the first convolution was repeated to"
        f" {channels}, times {present}/{channels}"
    )
