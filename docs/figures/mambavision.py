"""Where mamba_vision_T has its positions, its channels, its arithmetic and its parameters, part by part."""

from matplotlib.figure import Figure

import mvnp
from mvnp.costs.cost import LayerCost, model_cost
from mvnp.visualize.figures.style import BLUE, FAINT, GREEN, INK, MUTED, ORANGE, new_figure, set_labels

# What the paths of a part begin with, and its colour: convolution, hybrid, the rest.
PARTS = {
    "stem": ("patch_embed", BLUE),
    "level 0": ("levels.0", BLUE),
    "level 1": ("levels.1", BLUE),
    "level 2": ("levels.2", ORANGE),
    "level 3": ("levels.3", ORANGE),
    "head": (("norm", "avgpool", "head"), GREEN),
}


def draw() -> Figure:
    rows = model_cost(mvnp.create_model("mamba_vision_T", allocate=False), 224).rows
    parts = {name: [row for row in rows if row.path.startswith(path)] for name, (path, _) in PARTS.items()}
    shapes = [map_of(part) for part in parts.values()]
    columns = {
        "positions": [height * width for height, width, _ in shapes],
        "channels": [channels for _, _, channels in shapes],
        "10⁹ MACs": [sum(row.macs for row in part) / 1e9 for part in parts.values()],
        "10⁶ parameters": [sum(row.parameters for row in part) / 1e6 for part in parts.values()],
    }
    figure = new_figure(6.2, 2.7, "mamba_vision_T, an image of 224×224")
    for axes, (title, values) in zip(figure.subplots(1, 4, sharey=True), columns.items(), strict=True):
        axes.barh(list(PARTS), values, color=[colour for _, colour in PARTS.values()], height=0.7)
        for y, value in enumerate(values):
            text = f"{value:,}" if isinstance(value, int) else f"{value:.2f}"
            axes.annotate(text, (value, y), (3, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
        set_labels(axes, title)
        axes.title.set_fontsize(9)
        axes.set_xlim(0, 1.55 * max(values))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.spines["left"].set_color(FAINT)
        axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=MUTED)
    figure.axes[0].invert_yaxis()
    return figure


def map_of(part: list[LayerCost]) -> tuple[int, ...]:
    """(H, W, C) of the last map that a part makes, before it is halved for the next."""
    return [row.shape for row in part if len(row.shape) == 3 and "downsample" not in row.path][-1]
