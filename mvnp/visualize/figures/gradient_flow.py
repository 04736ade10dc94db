"""The figure of the gradient on its way down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...backend import Array
from ...errors import refusing
from ...models.classifier import Classifier
from ..arrays.gradient_flow import BlockGradient, as_series, gradients_by_block
from ..arrays.internals import numbers_of
from .style import BLUE, FAINT, GREEN, INK, MUTED, NARROW, ORANGE, WIDE, new_figure, set_labels

MARKS = {
    "stem": ("D", MUTED),
    "convolution": ("o", BLUE),
    "downsampling": ("v", MUTED),
    "mixer": ("s", ORANGE),
    "attention": ("^", GREEN),
    "head": ("P", INK),
}


@refusing
def gradient_flow(model: Classifier, image: Array, *, target: int | None = None, narrow: bool = False) -> Figure:
    """The norm of the gradient of a class's logit at each block, for an image (1, C, H, W).

    target    the class; None: the one with the largest logit
    narrow    laid out for a phone, the panels below one another

    How to read it. The gradient starts at the head, at the right, and goes to the left, down to the stem. *Activations*: what
    arrives at a block. A level line is healthy: residual sums hand the gradient on as it is. Where it falls by decades
    towards the left it vanishes, and the first blocks hardly learn; where it rises by decades it explodes. *Parameters*: the
    gradient of all parameters of a block together; a block far below its neighbours gets little to learn from. The axes are
    logarithmic: what counts is the ratio between blocks. Shapes tell the kinds of blocks apart; "2.1" is block 1 of level 2,
    "7" block 7 of a network without levels, "0 → 1" the downsampling between levels 0 and 1. A gradient of exactly 0 has no
    mark.

    Raises InputError for anything but one image with the model's channels, and for a class that the model does not have.
    """
    blocks = gradients_by_block(model, image, target)
    series = as_series(blocks)
    figure = new_figure(*((NARROW, 7.4) if narrow else (WIDE, 4.2)), "The gradient through the depth")
    panels = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    series["activations"][-1] = np.nan  # the head's output is z itself
    for panel, name, what in (
        (panels[0], "activations", "‖∂z/∂y‖, y the output of the block"),
        (panels[1], "parameters", "‖∂z/∂θ‖, θ all parameters of the block"),
    ):
        _draw(panel, blocks, series[name])
        set_labels(panel, f"Gradient of the {name}", y=what)
        panel.set_xticks(range(len(blocks)), labels=short_names(blocks), rotation=90)
    handles, labels = panels[1].get_legend_handles_labels()
    options: dict[str, Any] = {"loc": "outside lower center", "ncols": 3 if narrow else 6}
    figure.legend(handles, labels, frameon=False, fontsize=8, labelcolor=INK, **options)
    return figure


def short_names(blocks: Sequence[BlockGradient]) -> list[str]:
    """'2.0' for levels.2.blocks.0, '0 → 1' for the downsampling after level 0."""
    return [_short(block) for block in blocks]


def _short(block: BlockGradient) -> str:
    if block.kind in ("stem", "head"):
        return block.kind
    numbers = numbers_of(block.path)
    return f"{numbers[0]} → {numbers[0] + 1}" if block.kind == "downsampling" else ".".join(map(str, numbers))


def _draw(axes: Axes, blocks: Sequence[BlockGradient], values: np.ndarray) -> None:
    axes.plot(values, color=FAINT, linewidth=1.6, zorder=1)
    kinds: dict[str, Any] = {block.kind: None for block in blocks}
    for kind in kinds:
        marker, colour = MARKS[kind]
        places = [index for index, block in enumerate(blocks) if block.kind == kind]
        axes.plot(places, values[places], linestyle="none", marker=marker, markersize=6, color=colour, label=kind, zorder=2)
    axes.set_yscale("log")
    axes.tick_params(axis="y", which="minor", labelsize=8, colors=MUTED, length=2)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
