"""What all figures share: colours, sizes, and the way to a PNG.

Figures are made with `matplotlib.figure.Figure` and no pyplot: nothing global is changed or kept, and two threads can draw.
Colour maps are fit for colour-blind readers and for grey printing: viridis for amounts, red to blue for signs. Where a
colour says something, a shape, a width or a word says it too.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...errors import printable, refusing

SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
PATH = "plasma"  # order along a scan: it must not be taken for an amount

INK, MUTED, FAINT, OUTSIDE = "#1c2430", "#5b6675", "#d5dae1", "#e9ecf0"
BLUE, ORANGE, GREEN = "#0060a8", "#c14a00", "#00735c"  # after Okabe and Ito, darkened until text can be read in them

# Inches. Text of 8 to 12 points keeps its size where a page shows about 100 pixels to the inch: a column on a desk, a phone.
WIDE, NARROW = 9.6, 3.5
_DPI = {True: 150, False: 250}


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure with a title, laid out so that nothing overlaps."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def plain(text: str) -> str:
    """A name from outside as text of a figure: on one line, with its dollar signs, which Matplotlib would take for formulas."""
    return printable(text).replace("$", r"\$")


def set_title(axes: Axes, title: str) -> None:
    """The title of one panel."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)


def set_labels(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Title and labels of a plot with axes, and quiet spines."""
    set_title(axes, title)
    axes.set_xlabel(x, fontsize=9, color=MUTED)
    axes.set_ylabel(y, fontsize=9, color=MUTED)
    axes.tick_params(labelsize=8, colors=MUTED, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)


def add_colorbar(figure: Figure, mappable: Any, axes: Any, label: str, **options: Any) -> Any:
    """A slim colour bar with its quantity written beside it."""
    bar = figure.colorbar(mappable, ax=axes, **{"fraction": 0.05, "pad": 0.03, **options})
    bar.set_label(label, fontsize=9, color=MUTED)
    bar.ax.tick_params(labelsize=8, colors=MUTED, length=3)
    bar.outline.set_visible(False)
    return bar


def pixels(figure: Figure) -> np.ndarray:
    """The figure as it is drawn, uint8 (height, width, 3): without the detour by a file, and drawn once."""
    figure.set_dpi(_DPI[_is_wide(figure)])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _is_wide(figure: Figure) -> bool:
    return bool(figure.get_figwidth() > (WIDE + NARROW) / 2)


@refusing
def png(figure: Figure) -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI[_is_wide(figure)], metadata={"Software": None})
    return buffer.getvalue()
