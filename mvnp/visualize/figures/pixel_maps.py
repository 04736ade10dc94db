"""Drawing maps as fine as the image: the picture itself, a signed map beside it, and the same summed over cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from .overlay import softened
from .style import DIVERGING, OUTSIDE


def bare(axes: Axes) -> None:
    """No ticks, no frame: the panel is a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_facecolor(OUTSIDE)


def show_plain(axes: Axes, picture: np.ndarray) -> None:
    """The picture (H, W) or (H, W, 3) as it is."""
    axes.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    bare(axes)


def show_signed(axes: Axes, values: np.ndarray, size: tuple[int, int], norm: Normalize) -> Any:
    """A signed map of any resolution, stretched over an image of `size` (H, W): red above 0, blue below, white at 0."""
    image = axes.imshow(
        values, cmap=DIVERGING, norm=norm, interpolation="nearest", extent=(-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)
    )
    bare(axes)
    return image


def around_zero(values: np.ndarray, share: float = 0.995) -> Normalize:
    """A scale as far below 0 as above, which holds `share` of the values: a few extreme ones shall not fade all others."""
    reach = float(np.quantile(np.abs(values), share))
    return Normalize(-reach, reach) if reach > 0 else Normalize(-1.0, 1.0)


def show_cells(axes: Axes, picture: np.ndarray, sums: np.ndarray, side: int) -> Any:
    """A square for each cell on the softened picture: its area says how much, its colour for (red) or against (blue).

    Colours are full from a third of the largest value on, for small squares to show their sign. What a colour bar is made
    from is returned.
    """
    most = float(np.abs(sums).max()) or 1.0
    share = np.abs(sums) / most
    squares = []
    for (row, column), part in np.ndenumerate(share):
        length = 0.94 * side * float(np.sqrt(part))
        x, y = side * column + (side - 1) / 2, side * row + (side - 1) / 2
        squares.append(Rectangle((x - length / 2, y - length / 2), length, length))
    marks = PatchCollection(squares, cmap=DIVERGING, norm=Normalize(-most / 3, most / 3), linewidth=0.0)
    marks.set_array(sums.ravel())
    axes.imshow(softened(picture), interpolation="nearest")
    axes.add_collection(marks, autolim=False)
    bare(axes)
    return marks


def height_of(size: tuple[int, int], width: float, rows: int, columns: int, beside: float, above: float) -> float:
    """The height of a figure of `width` whose panels hold pictures of `size` (H, W), in inches.

    beside, above    what labels and colour bars take of each panel's width, and of each row's height
    """
    return rows * ((width / columns - beside) * size[0] / size[1] + above)
