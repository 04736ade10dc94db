"""Laying out figures of many panels, each of which has the image for a ground."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..arrays.geometry import Geometry
from ..arrays.internals import block_of
from ..arrays.records import AttentionRecord, ScanRecord
from .style import NARROW, WIDE, new_figure


def title_of(what: str, record: ScanRecord | AttentionRecord, narrow: bool) -> str:
    """What a figure shows, and of which block; on a phone, in two lines. Of one scan of several, its name too."""
    among = f", {record.route}" if isinstance(record, ScanRecord) and record.several else ""
    return f"{what}:{chr(10) if narrow else ' '}{block_of(record.path)}{among}"


def columns_of(count: int, at_most: int = 4) -> int:
    """How many of `count` panels stand in a row, so that the last row is as full as can be."""
    return math.ceil(count / math.ceil(count / at_most))


def image_panels(
    title: str,
    count: int,
    picture: np.ndarray,
    windows: Geometry,
    narrow: bool,
    *,
    columns: int | None = None,
    lines: int = 1,
    below: float = 0.0,
    beside: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels, high enough for the picture (H, W, …) and the padded map over it in each.

    columns    panels in a row; None: as many as look well, up to 4, or 2 on a phone and for wide maps
    lines      of the panels' own titles
    below      inches below the panels, for a colour bar
    beside     inches beside each panel, for one of its own
    """
    at_most = 2 if narrow or windows.padded[1] > 16 else 4  # more columns, and a token would be a speck
    columns = min(columns or columns_of(count, at_most), count)
    rows = math.ceil(count / columns)
    width = NARROW if narrow else max(WIDE / 2, WIDE * columns / 4)  # a few panels at full width would be a poster
    left, right, bottom, top = windows.extent
    aspect = (max(bottom, picture.shape[0]) - top) / (max(right, picture.shape[1]) - left)
    panel = (width / columns - 0.15 - beside) * aspect
    figure = new_figure(width, (0.6 if narrow else 0.4) + below + rows * (panel + 0.1 + 0.2 * lines), title)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for left_over in panels[count:]:
        figure.delaxes(left_over)
    return figure, panels[:count]


def rows_of(figure: Figure, heights: tuple[float, ...]) -> list[Any]:
    """Parts of a figure below one another, each laid out by itself."""
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    return list(parts)
