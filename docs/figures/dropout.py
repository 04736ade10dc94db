"""A picture under masks of dropout, and the mean over many masks."""

import numpy as np
from demo_model import picture
from matplotlib.figure import Figure

from mvnp.layers.dropout import draw_mask, dropout_forward
from mvnp.visualize.figures.style import new_figure, set_title

RATE = 0.5


def draw() -> Figure:
    x = picture(0) / 255
    rng = np.random.default_rng(0)
    draws = [dropout_forward(x, draw_mask(rng, x.shape, RATE, x))[0] for _ in range(300)]
    panels = {"x": x, "one draw": draws[0], "another": draws[1], "mean of 30": np.mean(draws[:30], axis=0)}
    panels["mean of 300"] = np.mean(draws, axis=0)
    figure = new_figure(5.8, 1.9, f"Dropout with a rate of {RATE}")
    for axes, (name, values) in zip(figure.subplots(1, 5), panels.items(), strict=True):
        axes.imshow(values, cmap="gray", vmin=0, vmax=1 / (1 - RATE) if "draw" in name or name == "another" else 1)
        axes.set(xticks=[], yticks=[])
        set_title(axes, name)
    return figure
