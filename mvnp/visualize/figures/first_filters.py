"""The figure of the first convolution's kernels, and what each finds in the image."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ...backend import Array
from ...errors import InputError, refusing
from ...models.classifier import Classifier
from ..arrays.class_evidence import check_image
from ..arrays.feature_maps import strongest_channels
from ..arrays.first_filters import first_layer
from .pixel_maps import around_zero, bare, height_of
from .style import DIVERGING, NARROW, SEQUENTIAL, WIDE, add_colorbar, new_figure, set_title


@refusing
def first_filters(model: Classifier, image: Array, *, count: int = 16, narrow: bool = False) -> Figure:
    """The kernels of the first convolution, and their answers to an image (1, C, H, W), with what follows it in a MambaVision:
    BatchNorm and ReLU.

    count     how many, those that answer most
    narrow    laid out for a phone

    How to read it. Each pair is one filter: its kernel, and below it the map of its answers, dark where it finds nothing, or
    white where answers have either sign: red then finds it and blue its opposite. With one input channel red weights count
    the pixel and blue ones count against it: a red half beside a blue half finds an edge. With three, the kernel is shown in
    colours: grey is 0, and a colour is what the filter looks for. With any other number, its mean over the channels.

    Raises InputError for anything but one image with the model's channels, and for a count below 1.
    """
    check_image("first_filters", model, image)
    if count < 1:
        raise InputError(f"first_filters: count is {count}, expected at least 1")
    kernels, answers, words = first_layer(model, image)
    chosen = strongest_channels(answers, count)
    columns = 4 if narrow else 8
    lines = math.ceil(len(chosen) / columns)
    width = NARROW if narrow else WIDE
    answer = height_of(answers.shape[1:], width, 1, columns, 0.1, 0.1)
    kernel = 0.6 * width / columns + 0.25
    height = (1.0 if kernels.shape[1] == 3 else 1.6) + lines * (answer + kernel)
    figure = new_figure(width, height, "First filters, and what each finds")
    panels = figure.subplots(2 * lines, columns, squeeze=False, height_ratios=[kernel, answer] * lines)
    weights, cmap = around_zero(kernels, 1.0), SEQUENTIAL
    found = Normalize(0.0, float(np.quantile(answers[chosen], 0.998)) or 1.0)
    if answers.min() < 0:
        found, cmap = around_zero(answers[chosen], 0.998), DIVERGING
    drawn = weight = None
    for place in range(lines * columns):
        above, below = panels[2 * (place // columns), place % columns], panels[2 * (place // columns) + 1, place % columns]
        if place >= len(chosen):
            figure.delaxes(above)
            figure.delaxes(below)
            continue
        weight = above.imshow(kernel_picture(kernels[chosen[place]], weights), cmap=DIVERGING, norm=weights)
        bare(above)
        set_title(above, f"{chosen[place]}")
        drawn = below.imshow(answers[chosen[place]], cmap=cmap, norm=found, interpolation="nearest")
        bare(below)
    remaining = [panel for panel in panels.ravel() if panel.figure is not None]
    below_all = {"location": "bottom", "aspect": 50}
    add_colorbar(figure, drawn, remaining, f"answer, {words}", extend="max" if cmap == SEQUENTIAL else "both", **below_all)
    if kernels.shape[1] != 3:
        add_colorbar(
            figure, weight, remaining, "weight, times BatchNorm's gain" if "BatchNorm" in words else "weight", **below_all
        )
    return figure


def kernel_picture(kernel: np.ndarray, norm: Normalize) -> np.ndarray:
    """A kernel (C, K, K) to be drawn: colours (K, K, 3) around grey for three channels, else the mean weight (K, K)."""
    if len(kernel) == 3:
        return np.asarray(norm(kernel.transpose(1, 2, 0)))
    return kernel.mean(axis=0)
