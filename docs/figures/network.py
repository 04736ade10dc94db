"""The network from the image to the classes: how large the map is, how many channels it has, and which blocks work on it."""

import numpy as np
from diagram import arrow, sheet, words
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import mvnp
from mvnp.visualize.figures.style import BLUE, GREEN, MUTED, ORANGE

MIDDLE = 1.3
COLOURS = {"ConvBlock": BLUE, "MambaVisionMixer": ORANGE, "MultiHeadAttention": GREEN}


def draw() -> Figure:
    model = mvnp.create_model("mamba_vision_T")
    shapes = [stage.shape[1:] for stage in model.features(np.zeros((1, 3, 224, 224), np.float32))]
    parts = [("stem", shapes[0], [BLUE, BLUE])]
    for number, (level, shape) in enumerate(zip(model.levels, shapes, strict=True)):
        kinds = [type(getattr(block, "mixer", block)).__name__ for block in level.blocks]
        parts.append((f"level {number}", shape, [COLOURS[kind] for kind in kinds]))
    figure, axes = sheet(7.2, 2.4)
    axes.add_patch(Rectangle((0.1, MIDDLE - 0.8), 0.6, 1.6, fill=False, edgecolor=MUTED))
    words(axes, (0.4, MIDDLE), "224×224", size=7.5)
    words(axes, (0.4, 2.25), "image", MUTED)
    x = 1.1
    for name, (channels, side, _), colours in parts:
        height, width = 0.25 + 1.35 * (side / 56) ** 0.5, 0.17 * len(colours) - 0.04
        middle = x + max(width, 0.42) / 2
        arrow(axes, (x - 0.34, MIDDLE), (x - 0.04, MIDDLE))
        for i, colour in enumerate(colours):
            left = middle - width / 2 + 0.17 * i
            axes.add_patch(Rectangle((left, MIDDLE - height / 2), 0.13, height, color=colour, linewidth=0))
        words(axes, (middle, 2.25), name, MUTED)
        words(axes, (middle, 0.3), f"{side}×{side}", size=7.5)
        words(axes, (middle, 0.12), f"{channels} channels" if name == "stem" else str(channels), size=7.5)
        x = middle + max(width, 0.42) / 2 + 0.4
    arrow(axes, (x - 0.34, MIDDLE), (x - 0.04, MIDDLE))
    words(axes, (x + 0.22, 2.25), "head", MUTED)
    words(axes, (x + 0.22, MIDDLE), "classes", size=7.5)
    return figure
