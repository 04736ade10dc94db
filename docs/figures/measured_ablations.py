"""What each mixer, each pattern of attention and each family is worth, beside the released model, with 95 % intervals."""

import json
from pathlib import Path

from intervals import intervals, legend_below
from matplotlib.figure import Figure

from mvnp.visualize.figures.style import ORANGE, new_figure

MEASURED = Path(__file__).parent.parent / "measured" / "ablations.json"
PANELS = {"mixers": "Mixer", "patterns": "Where attention stands", "families": "Family"}


def draw() -> Figure:
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    groups = [[row for row in rows if row["study"] == name] for name in PANELS]
    figure = new_figure(5.8, 1.0 + 0.24 * (len(rows) + 3), "Beside the released model")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[len(group) + 0.6 for group in groups])
    for axes, group, title in zip(panels, groups, PANELS.values(), strict=True):
        points = [(row["arm"], row["difference"], row["half"]) for row in group]
        at = intervals(axes, title, points, x="points of accuracy" if axes is panels[-1] else "")
        known = [(row["paper"], at[row["arm"]]) for row in group if row["paper"] is not None]
        if known:
            axes.plot(
                *zip(*known, strict=True), "D", color=ORANGE, fillstyle="none", markersize=5, label="the paper, ImageNet-1K"
            )
    legend_below(figure, panels)
    return figure
