"""The figure of each stage's strongest channels."""

from __future__ import annotations

from matplotlib.figure import Figure

from ...backend import Array, to_numpy
from ...errors import InputError, refusing
from ...models.classifier import Classifier
from ..arrays.class_evidence import check_image
from ..arrays.feature_maps import strongest_channels
from ..arrays.picture import as_picture
from .pixel_maps import around_zero, height_of, show_plain, show_signed
from .style import MUTED, NARROW, WIDE, add_colorbar, new_figure, set_title

WIDE_COUNT, NARROW_COUNT = 7, 4


@refusing
def feature_maps(model: Classifier, image: Array, *, count: int | None = None, narrow: bool = False) -> Figure:
    """The strongest channels of each stage for an image (1, C, H, W), each with its number.

    count     channels of each stage; None: as many as look well, 7, or 4 in the narrow layout
    narrow    laid out for a phone

    How to read it. One row for each stage, from edges and textures to coarse maps of what matters for the decision. Each
    panel is one channel, red where it is positive and blue where it is negative, on one scale for the row. Strong is a
    channel that varies most over the image: one that is large everywhere says nothing about it. They are sorted from the
    left.

    Raises InputError for anything but one image with the model's channels, and for a count below 1.
    """
    check_image("feature_maps", model, image)
    count = count if count is not None else NARROW_COUNT if narrow else WIDE_COUNT
    if count < 1:
        raise InputError(f"feature_maps: count is {count}, expected at least 1")
    picture = as_picture(image)
    size = (picture.shape[0], picture.shape[1])
    width = NARROW if narrow else WIDE
    stages = len(model.channels)
    height = 0.4 + height_of(size, width - 0.6, stages, count + 1, 0.1, 0.32)
    figure = new_figure(width, height, "Strongest feature maps" if narrow else "The strongest feature maps of each stage")
    rows = figure.subplots(stages, count + 1, squeeze=False)
    for stage, (row, maps) in enumerate(zip(rows, model.features(image), strict=True)):
        stack = to_numpy(maps)[0]
        chosen = strongest_channels(stack, count)
        norm, drawn = around_zero(stack[chosen], 0.999), None
        for panel, channel in zip(row[1:], chosen, strict=False):
            drawn = show_signed(panel, stack[channel], size, norm)
            set_title(panel, f"{channel}")
        for panel in row[1 + len(chosen) :]:
            figure.delaxes(panel)
        show_plain(row[0], picture)
        row[0].set_ylabel(f"stage {stage}\n{stack.shape[1]}x{stack.shape[2]}", fontsize=8, color=MUTED)
        add_colorbar(figure, drawn, list(row), "", extend="both")
    return figure
