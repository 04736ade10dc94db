"""Operations, time and peak memory of three families as images grow."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from mvnp.visualize.figures.style import BLUE, FAINT, GREEN, MUTED, ORANGE, new_figure, set_labels

MEASURED = Path(__file__).parent.parent / "measured" / "families.json"
LOOKS = {"MambaVision-T": ("o", GREEN), "Vim-S": ("s", BLUE), "VMamba-T": ("^", ORANGE)}


def draw() -> Figure:
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    figure = new_figure(5.8, 2.7, "As the image grows")
    panels = {
        "Operations": (lambda row: row["flops"] / 1e9, "GFLOP"),
        "Time": (lambda row: 1000 * row["seconds"], "ms"),
        "Peak memory": (lambda row: row["peak_mb"], "MB"),
    }
    for axes, (name, (of, unit)) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for model, (marker, colour) in LOOKS.items():
            mine = [row for row in rows if row["model"] == model]
            pixels = [row["size"] ** 2 / 1000 for row in mine]
            axes.plot(pixels, [of(row) for row in mine], marker=marker, color=colour, label=model, markersize=5)
        axes.set_xlim(0)
        axes.set_ylim(0)
        axes.grid(axis="y", color=FAINT, linewidth=0.6)
        set_labels(axes, f"{name}, {unit}", x="thousand pixels")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8, labelcolor=MUTED)
    return figure
