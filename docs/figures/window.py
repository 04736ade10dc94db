"""A map of 5 by 7 tokens, cut into windows of 4: the order of the tokens, and the padding."""

import numpy as np
from demo_model import image
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from mvnp.layers.window import window_partition
from mvnp.visualize.arrays.geometry import WindowGeometry
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.figures.overlay import show_picture
from mvnp.visualize.figures.style import INK, MUTED, new_figure, set_title


def draw() -> Figure:
    windows = WindowGeometry(5, 7, 4, stride=16)
    picture = as_picture(np.repeat(np.repeat(image(8), 2, axis=2), 2, axis=3))[24:104, 8:120]
    figure = new_figure(5.8, 3.2, "5×7 tokens in windows of 4×4")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    show_picture(left, picture, windows)
    for positions, real in zip(windows.positions, windows.real, strict=True):
        for token, ((row, column), inside) in enumerate(zip(positions, real, strict=True)):
            style = {"color": INK if inside else MUTED, "path_effects": [withStroke(linewidth=2.5, foreground="white")]}
            left.text(16 * column, 16 * row, token, ha="center", va="center", fontsize=8, **style)
    set_title(left, "number of each token in its window")
    tokens = window_partition(np.arange(1.0, 36.0).reshape(1, 5, 7, 1), 4)[..., 0]
    right.imshow(np.where(tokens > 0, tokens, np.nan), aspect="auto", cmap="viridis")
    right.set_xticks(range(0, 16, 4))
    right.set_yticks(range(4), [f"window {n}" for n in range(4)], fontsize=8)
    set_title(right, "the tokens; white: padding")
    return figure
