"""What each ingredient of the recipe is worth: added alone to a short run, left out of a long one; with 95 % intervals."""

import json
from pathlib import Path

from intervals import intervals, legend_below
from matplotlib.figure import Figure

from mvnp.visualize.figures.style import new_figure

MEASURED = Path(__file__).parent.parent / "measured" / "recipe.json"
PANELS = {
    "A1": "Added to flips alone, 16 epochs",
    "A2": "All together, 40 epochs, beside flips alone",
    "L": "Left out of the recipe without crops, 40 epochs",
}


def draw() -> Figure:
    found = json.loads(MEASURED.read_text(encoding="utf-8"))["differences"]
    groups = [[(label, row["mean"], row["half"]) for label, row in found[name].items()] for name in PANELS]
    figure = new_figure(5.8, 1.0 + 0.24 * (sum(map(len, groups)) + 3), "Ingredients of the recipe")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[len(group) + 0.6 for group in groups])
    for axes, group, title in zip(panels, groups, PANELS.values(), strict=True):
        intervals(axes, title, group, x="points of test accuracy" if axes is panels[-1] else "")
    legend_below(figure, panels)
    return figure
