"""What each mixer, each pattern of attention and each family is worth, beside the released model, with 95 % intervals."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from mvnp.visualize.figures.style import BLUE, FAINT, MUTED, ORANGE, new_figure, set_labels

MEASURED = Path(__file__).parent.parent / "measured" / "ablations.json"
PANELS = {"mixers": "Mixer", "patterns": "Where attention stands", "families": "Family"}


def draw() -> Figure:
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    groups = [[row for row in rows if row["study"] == name] for name in PANELS]
    figure = new_figure(5.8, 1.0 + 0.24 * (len(rows) + 3), "Beside the released model")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[len(group) + 0.6 for group in groups])
    for axes, group, title in zip(panels, groups, PANELS.values(), strict=True):
        at = range(len(group))[::-1]
        axes.axvline(0, color=MUTED, linewidth=0.8)
        for row, y in zip(group, at, strict=True):
            noise = row["verdict"] == "within the noise"
            looks = {"color": MUTED, "fmt": "o", "mfc": "white"} if noise else {"color": BLUE, "fmt": "o"}
            label = "here, Fashion-MNIST" + (", within the noise" if noise else "")
            axes.errorbar(row["difference"], y, xerr=row["half"], markersize=5, capsize=3, label=label, **looks)
        known = [(row["paper"], y) for row, y in zip(group, at, strict=True) if row["paper"] is not None]
        if known:
            axes.plot(
                *zip(*known, strict=True), "D", color=ORANGE, fillstyle="none", markersize=5, label="the paper, ImageNet-1K"
            )
        axes.set_yticks(at, [row["arm"] for row in group])
        axes.set_ylim(-0.6, len(group) - 0.4)
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
        set_labels(axes, title, x="points of accuracy" if axes is panels[-1] else "")
    of_label = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(of_label.values(), of_label, loc="outside lower center", ncols=3, frameon=False, fontsize=7, labelcolor=MUTED)
    return figure
