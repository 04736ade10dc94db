"""Drawing maps as fine as the image: the picture itself, a signed map beside it, and the same summed over cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from .style import DIVERGING, OUTSIDE

CELLS = 14  # along the longer side of an image


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


def cell_sums(values: np.ndarray, cells: int = CELLS) -> np.ndarray:
    """A map (H, W) summed over square cells, about `cells` along its longer side. The sum of all stays the same.

    Where cells do not divide the map, those at its right and lower edge are cut off.
    """
    side = max(1, round(max(values.shape) / cells))
    rows, columns = (np.arange(0, length, side) for length in values.shape)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)


def class_label(target: int, classes: Sequence[str] | None) -> str:
    """How a title names a class."""
    return f"class {target}" if classes is None else str(classes[target])
