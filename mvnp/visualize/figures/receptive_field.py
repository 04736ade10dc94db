"""The figure of what a feature of each stage looks at."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...backend import Array
from ...errors import check_array, check_choice, refusing
from ...models.classifier import Classifier
from ..arrays.class_evidence import check_finite
from ..arrays.families.family import family_of, offset_of
from ..arrays.receptive_field import Box, pixels_for_share, stage_field
from .pixel_maps import bare, height_of
from .style import INK, NARROW, ORANGE, SEQUENTIAL, WIDE, add_colorbar, new_figure, set_title

DECADES = 4  # of the logarithmic scale
SCALES = ("log", "power")


@refusing
def receptive_field(
    model: Classifier, image: Array, *, scale: str = "log", channels: int | None = 16, narrow: bool = False
) -> Figure:
    """What the central feature of each stage looks at, for images (B, C, H, W): one, or the mean of several.

    scale       "log", four decades, shows how far the least influence reaches; "power", the square root, shows where most is
    channels    how many of each stage's channels the mean is taken over, evenly spaced; None: all of them
    narrow      laid out for a phone, the panels in two rows

    How to read it. The lighter a pixel, the more the feature in the middle of the stage's map changes with it; the cross
    marks the pixel that the feature is centred on. Grey pixels have no influence, or less than a ten-thousandth of the
    largest. The frame is what kernels and windows let the feature see at most; where it is small the panel shows a part of
    the image, so many times closer. Above each panel is how many pixels hold half of all influence: a field is usually far
    smaller than its frame, and strongest around the middle. Stages of windows see their whole window and what the
    convolutions carried into it; a window's border shows as an edge of the field. Scans over the whole map may see all of the
    image: how much of it they do see is the question.

    Raises InputError for images that do not fit the model, and for another scale.
    """
    check_array("receptive_field", "image", image, ("B", model.in_chans, "H", "W"))
    check_finite("receptive_field", image)
    check_choice("scale", scale, SCALES)
    stages = len(model.channels)
    width, rows, columns = (
        (NARROW, -(-stages // 2), min(2, stages)) if narrow else (max(WIDE / 2, WIDE * stages / 4), 1, stages)
    )
    height = 1.0 + height_of((image.shape[2], image.shape[3]), width, rows, columns, 0.15, 0.5)
    figure = new_figure(width, height, "What a feature looks at" if narrow else "What one feature of each stage looks at")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for left_over in panels[stages:]:
        figure.delaxes(left_over)
    panels, family = panels[:stages], family_of(model)
    drawn, unit = None, "px" if narrow else "pixels"
    for stage, panel in enumerate(panels):
        field, box, (row, column) = stage_field(model, image, stage, channels)
        stride, offset = model.strides[stage], offset_of(family.steps(model, stage))
        drawn = _draw(panel, field, box, (offset + row * stride, offset + column * stride), scale)
        closer = zoom(box, field.shape)
        half = pixels_for_share(field, 0.5)
        set_title(panel, f"Stage {stage}" + (f", {closer}x closer" if closer > 1 else "") + f"\n{half:,} {unit} make half")
    options = {"location": "bottom", "aspect": 40}
    bar = add_colorbar(figure, drawn, list(panels), "influence of a pixel, over the largest", **options)
    if scale == "log":
        bar.set_ticks([10.0**-decade for decade in range(DECADES, -1, -1)])
    return figure


def zoom(box: Box, size: tuple[int, ...]) -> int:
    """How many times closer one can go, 1, 2, 4 or 8, and see the box with a margin."""
    top, bottom, left, right = box
    fill = max((bottom - top + 1) / size[0], (right - left + 1) / size[1])
    return next(factor for factor in (8, 4, 2, 1) if fill * factor <= 0.75 or factor == 1)


def _draw(axes: Axes, field: np.ndarray, box: Box, pixel: tuple[float, float], scale: str) -> object:
    most = float(field.max()) or 1.0
    # Below lies rounding, too: Winograd's convolution has some where the exact value is 0.
    relative = np.ma.masked_less(field / most, 10.0**-DECADES)
    norm: Normalize = LogNorm(10.0**-DECADES, 1.0) if scale == "log" else PowerNorm(0.5, 0.0, 1.0)
    drawn = axes.imshow(relative, cmap=SEQUENTIAL, norm=norm, interpolation="nearest")
    bare(axes)
    top, bottom, left, right = box
    (first_row, last_row), (first_column, last_column) = (
        _limits(length, length / zoom(box, field.shape), at) for length, at in zip(field.shape, pixel, strict=True)
    )
    axes.set_ylim(last_row, first_row)  # rows count downwards
    axes.set_xlim(first_column, last_column)
    corner = (left - 0.5, top - 0.5)
    for colour, line in (("white", 3.0), (ORANGE, 1.4)):
        axes.add_patch(
            Rectangle(corner, right - left + 1, bottom - top + 1, fill=False, edgecolor=colour, linewidth=line, clip_on=False)
        )
    for colour, line in (("white", 3.0), (INK, 1.4)):
        axes.plot(pixel[1], pixel[0], marker="+", markersize=9, markeredgewidth=line, color=colour)
    return drawn


def _limits(length: int, shown: float, middle: float) -> tuple[float, float]:
    """The interval of `shown` pixels around `middle`, moved to lie within an axis of `length`."""
    start = min(max(middle - shown / 2, -0.5), length - 0.5 - shown)
    return start, start + shown
