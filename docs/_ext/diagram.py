"""Block diagrams: boxes with words, arrows between them, in the colours of the figures. Units are inches; y goes upwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mvnp.visualize.figures.style import INK, MUTED

Point = tuple[float, float]


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of that size without axes, on which one inch is one."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def box(axes: Axes, centre: Point, words: str, width: float = 1.2, height: float = 0.3, colour: str = MUTED) -> None:
    """Rounded, with words in its middle."""
    x, y = centre
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.06", linewidth=1.4,
        edgecolor=colour, facecolor="none",
    )  # fmt: skip
    axes.add_patch(shape)
    axes.text(x, y, words, ha="center", va="center", fontsize=8.5, color=INK)


def arrow(axes: Axes, *points: Point, colour: str = MUTED) -> None:
    """Along straight lines through the points, with a head at the last."""
    x, y = zip(*points[:-1], strict=True)
    axes.plot(x, y, color=colour, linewidth=1.1, solid_joinstyle="round")
    axes.annotate("", points[-1], points[-2], arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0})


def join(axes: Axes, centre: Point, sign: str) -> None:
    """A circle with a sign: where two ways come together."""
    axes.plot(*centre, "o", markersize=13, markerfacecolor="white", markeredgecolor=MUTED)
    axes.text(*centre, sign, ha="center", va="center_baseline", fontsize=10, color=INK)


def words(axes: Axes, at: Point, text: str, colour: str = INK, size: float = 8.5, ha: str = "center") -> None:
    axes.text(*at, text, ha=ha, va="center", fontsize=size, color=colour)


def column(axes: Axes, x: float, boxes: Sequence[tuple[float, str, str]], width: float = 1.2) -> None:
    """Boxes (y, words, colour) one above the other, with arrows from each to the next, upwards."""
    for y, text, colour in boxes:
        box(axes, (x, y), text, width, colour=colour)
    for (below, *_), (above, *_) in pairwise(boxes):
        arrow(axes, (x, below + 0.15), (x, above - 0.15))
