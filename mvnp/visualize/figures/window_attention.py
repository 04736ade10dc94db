"""Attention inside its window: what one query token takes from every other, head by head."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ...backend import Array
from ...errors import refusing
from ...models.classifier import Classifier
from ..arrays.internals import record_attention
from ..arrays.picture import as_picture
from ..arrays.window_attention import query_weights
from .overlay import show_marks, show_picture, show_query
from .panels import title_of
from .style import INK, NARROW, WIDE, add_colorbar, new_figure, set_title


@refusing
def window_attention(
    model: Classifier,
    image: Array,
    *,
    block: str | None = None,
    query: tuple[int, int] | None = None,
    narrow: bool = False,
) -> Figure:
    """What a query token of an image (1, C, H, W) attends to.

    block     path of the attention's block, such as 'levels.2.blocks.1'; None: the first
    query     row and column of the token on its map; None: the middle one
    narrow    laid out for a phone

    How to read it. The first panel has the windows' borders on the image, and a frame around the query; hatched cells are
    padding. Each other panel is one head: colour and area of a square are the weight that the query gives to that token,
    on one scale for all heads. The weights of a head add up to 1, and none leaves the query's window. "Equal" on the
    scale is the weight of each if all were alike.
    """
    record = record_attention(model, image, block)
    windows = record.windows
    row, column = query or windows.middle
    maps = query_weights(record, row, column)
    picture = as_picture(image)

    columns = (2 if len(maps) < 5 else 3) if narrow else min(5, len(maps) + 1)
    rows = math.ceil((len(maps) + 1) / columns)
    width = NARROW if narrow else WIDE
    title = title_of("Attention inside its window", record, narrow)
    figure = new_figure(width, (1.6 if narrow else 1.3) + rows * (width / columns + 0.12), title)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    most = float(np.nanmax(maps))
    norm = Normalize(0.0, most)
    show_picture(panels[0], picture, windows)
    show_query(panels[0], windows, row, column)
    set_title(panels[0], "Query")
    marks = None
    for head, (panel, weights) in enumerate(zip(panels[1:], maps, strict=False)):
        show_picture(panel, picture, windows)
        marks = show_marks(panel, windows, weights, norm, area=True)
        show_query(panel, windows, row, column)
        set_title(panel, f"Head {head + 1}")
    for panel in panels[len(maps) + 1 :]:
        figure.delaxes(panel)
    bar = add_colorbar(figure, marks, list(panels[: len(maps) + 1]), "attention weight", location="bottom", aspect=50)
    bar.set_ticks([0.0, most], labels=["0", f"{most:.2g}"])
    equal = 1.0 / (windows.L * most)  # as a share of the bar; its word stands above, where it meets no number
    place = {"transform": bar.ax.transAxes, "ha": "center", "va": "bottom", "linespacing": 0.8}
    bar.ax.text(equal, 1.05, "equal\n▾", fontsize=8, color=INK, **place)
    return figure
