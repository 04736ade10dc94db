"""Drawing token-to-token matrices: on logarithmic scales, with a mark at the query's row.

A scan's memory fades by a factor with every token, so on an even scale there is nothing to be seen beside the diagonal. On a
logarithmic one a steady fading is a steady change of colour.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ..arrays.geometry import Geometry
from .style import INK, OUTSIDE, add_colorbar

DECADES = 4  # of amounts that a scale tells apart; what is less has the colour of its lower end
SIGNED_DECADES = 2  # on each side of 0; between them the scale is even


def amounts(largest: float) -> LogNorm:
    """The scale of numbers that are at least 0, up to the largest."""
    largest = largest if largest > 0 else 1.0
    return LogNorm(largest * 10.0**-DECADES, largest, clip=True)


def signs(largest: float) -> SymLogNorm:
    """The scale of numbers of either sign, whose size is at most the largest."""
    largest = largest if largest > 0 else 1.0
    return SymLogNorm(linthresh=largest * 10.0**-SIGNED_DECADES, vmin=-largest, vmax=largest)


def show_matrix(axes: Axes, values: np.ndarray, tokens: Geometry, cmap: str, norm: Normalize) -> Any:
    """A matrix of the tokens of one window, or of all; NaN is left grey. Ticks: first tokens of lines or windows."""
    axes.set_facecolor(OUTSIDE)
    drawn = axes.imshow(values, cmap=cmap, norm=norm, interpolation="nearest")
    L, starts = tokens.L, tokens.line_starts
    starts = starts if len(values) == L else np.arange(0, len(values), L)
    ticks = starts[:: math.ceil(len(starts) / 8)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks)
    for first in range(L, len(values), L):
        axes.axhline(first - 0.5, color="white", linewidth=0.8)
        axes.axvline(first - 0.5, color="white", linewidth=0.8)
    return drawn


def mark_row(axes: Axes, row: int) -> None:
    """Arrow heads at both ends of a row, outside the matrix: a frame would hide a row that is a pixel high."""
    across = axes.get_yaxis_transform()
    for place, marker in ((-0.012, ">"), (1.012, "<")):
        axes.plot([place], [row], marker, color=INK, markersize=6, transform=across, clip_on=False)


def add_scale(figure: Figure, drawn: Any, axes: Any, label: str, few: bool = False, **options: Any) -> None:
    """The colour bar of `amounts` or `signs`; `few`: with three numbers, where there is no room for five."""
    two_sided, largest = isinstance(drawn.norm, SymLogNorm), float(drawn.norm.vmax)
    bar = add_colorbar(figure, drawn, axes, label, **options)
    if two_sided:
        near = largest * 10.0**-SIGNED_DECADES
        ticks = [-largest, -near, 0.0, near, largest]
    else:
        ticks = [largest * 10.0**-power for power in range(DECADES, -1, -1)]
    names = [f"{tick:.1g}".replace("-", "−") for tick in ticks]
    names = names if two_sided else [f"≤ {names[0]}", *names[1:]]
    every = 2 if few else 1
    bar.set_ticks(ticks[::every], labels=names[::every])
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_minor_locator(NullLocator())
