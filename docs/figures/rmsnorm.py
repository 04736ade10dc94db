"""What RMSNorm does to two tokens of very different size, beside LayerNorm."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers.layernorm import layernorm_forward
from mvnp.layers.rmsnorm import rmsnorm_forward
from mvnp.visualize.figures.style import BLUE, FAINT, ORANGE, new_figure, set_labels

C = 64


def draw() -> Figure:
    rng = np.random.default_rng(4)
    x = np.stack([rng.standard_normal(C), 3 + 6 * rng.standard_normal(C)])
    after, _ = rmsnorm_forward(x, np.ones(C))
    beside, _ = layernorm_forward(x, np.ones(C), np.zeros(C))
    figure = new_figure(5.8, 2.3, "Two tokens of 64 channels")
    for axes, values, title in zip(figure.subplots(1, 3), (x, after, beside), ("x", "RMSNorm", "LayerNorm"), strict=True):
        for row, color, mark in ((values[1], ORANGE, "o"), (values[0], BLUE, "s")):
            axes.plot(row, mark, color=color, markersize=3)
            axes.axhline(row.mean(), color=color, linewidth=1)
        axes.axhline(0, color=FAINT, linewidth=1, zorder=0)
        set_labels(axes, title, "channel")
    return figure
