"""Drawing on the image: the picture, the windows with their padding, a mark for each token.

Marks are opaque squares that leave the picture to be seen between them. A colour laid thinly over a picture would be a
mixture, and match no colour bar.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from ..arrays.geometry import Geometry, WindowGeometry
from .style import INK, MUTED, OUTSIDE, SEQUENTIAL

_MARK = 0.74  # side of the largest mark, in cells


def fineness(windows: Geometry) -> float:
    """What widths of lines and dots are multiplied by: 1 for small maps, less where many tokens share the panel."""
    return min(1.0, 10.0 / max(windows.padded))


def softened(picture: np.ndarray) -> np.ndarray:
    """The picture (H, W) or (H, W, 3) as a background in colours (H, W, 3), neither black nor white."""
    soft = 0.30 + 0.62 * picture
    return soft if soft.ndim == 3 else np.repeat(soft[..., None], 3, axis=2)


def show_picture(axes: Axes, picture: np.ndarray, windows: Geometry, borders: bool = True) -> None:
    """The picture, softened to a background, with the windows' borders, if asked for, and their padding around and upon it."""
    axes.imshow(softened(picture), interpolation="nearest")
    _show_padding(axes, windows)
    if borders:
        _show_windows(axes, windows)
    left, right, bottom, top = windows.extent
    height, width = picture.shape[:2]
    margin = 0.02 * max(height, width)
    axes.set_xlim(min(left, -0.5) - margin, max(right, width - 0.5) + margin)
    axes.set_ylim(max(bottom, height - 0.5) + margin, min(top, -0.5) - margin)
    axes.set_aspect("equal")
    axes.set_facecolor(OUTSIDE)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def show_marks(
    axes: Axes, windows: Geometry, values: np.ndarray, norm: Normalize, area: bool = False, cmap: str = SEQUENTIAL
) -> Any:
    """One square for each token of the map, coloured by `values` (Hp, Wp); NaN: no square there.

    area    True: its area, too, is in proportion to the value's size, and full at the norm's upper end
    Returns what a colour bar is made from.
    """
    rows, columns = np.nonzero(np.isfinite(values))
    chosen = values[rows, columns]
    share = np.clip(np.abs(chosen) / norm.vmax, 0.0, 1.0) if area and norm.vmax else np.ones(len(chosen))
    sides = _MARK * windows.stride * np.sqrt(share)
    squares = [
        Rectangle((windows.pixel(column) - side / 2, windows.pixel(row) - side / 2), side, side)
        for row, column, side in zip(rows, columns, sides, strict=True)
    ]
    marks = PatchCollection(
        squares, cmap=cmap, norm=norm, edgecolor="white", linewidth=0.7 * fineness(windows) * np.sqrt(share), zorder=3
    )
    marks.set_array(chosen)
    axes.add_collection(marks)
    return marks


def show_query(axes: Axes, windows: Geometry, row: int, column: int) -> None:
    """A double frame around the cell of one token: dark and light, so that it shows on any ground."""
    s, fine = windows.stride, max(fineness(windows), 0.4)
    corner = windows.pixel(column - 0.5), windows.pixel(row - 0.5)
    for colour, width in (("white", 4.0 * fine), (INK, 2.0 * fine)):
        axes.add_patch(Rectangle(corner, s, s, fill=False, edgecolor=colour, linewidth=width, zorder=5))


def _show_windows(axes: Axes, windows: Geometry) -> None:
    if not isinstance(windows, WindowGeometry):
        return
    left, _, _, top = windows.extent
    side = windows.P * windows.stride
    for row in range(windows.grid[0]):
        for column in range(windows.grid[1]):
            corner = (left + column * side, top + row * side)
            axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="white", linewidth=2.6, zorder=2))
            axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=INK, linewidth=1.0, zorder=2))


def _show_padding(axes: Axes, windows: Geometry) -> None:
    s = windows.stride
    for row, column in windows.positions[~windows.real]:
        axes.add_patch(
            Rectangle(
                (windows.pixel(column - 0.5), windows.pixel(row - 0.5)), s, s,
                facecolor="white", edgecolor=MUTED, hatch="////", linewidth=0.0, zorder=1,
            )
        )  # fmt: skip
