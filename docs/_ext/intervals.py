"""Differences with their 95 % intervals, one below the other: for the figures of the studies. A dot that is not filled has zero
in its interval."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mvnp.visualize.figures.style import BLUE, FAINT, MUTED, set_labels

Row = tuple[str, float, float]  # what is compared, the mean difference in points, half of its interval


def intervals(axes: Axes, title: str, rows: Sequence[Row], x: str = "") -> dict[str, int]:
    """Draw them, the first on top. Returns the height of each, for what else stands there."""
    at = {label: len(rows) - 1 - index for index, (label, _, _) in enumerate(rows)}
    axes.axvline(0, color=MUTED, linewidth=0.8)
    for label, mean, half in rows:
        noise = abs(mean) <= half
        looks = {"color": MUTED, "mfc": "white"} if noise else {"color": BLUE}
        name = "here, Fashion-MNIST" + (", within the noise" if noise else "")
        axes.errorbar(mean, at[label], xerr=half, fmt="o", markersize=5, capsize=3, label=name, **looks)
    axes.set_yticks(list(at.values()), list(at))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="x", color=FAINT, linewidth=0.6)
    set_labels(axes, title, x=x)
    return at


def legend_below(figure: Figure, panels: Iterable[Axes]) -> None:
    """What is drawn in any of the panels, each once."""
    of_label = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(of_label.values(), of_label, loc="outside lower center", ncols=3, frameon=False, fontsize=7, labelcolor=MUTED)
