"""What LayerNorm does to two tokens of very different size, and what its backward takes out of a gradient."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers.layernorm import layernorm_backward, layernorm_forward
from mvnp.visualize.figures.style import BLUE, FAINT, MUTED, ORANGE, new_figure, set_labels

C = 64


def draw() -> Figure:
    rng = np.random.default_rng(4)
    x = np.stack([rng.standard_normal(C), 3 + 6 * rng.standard_normal(C)])
    y, cache = layernorm_forward(x, np.ones(C), np.zeros(C))
    figure = new_figure(5.8, 4.2, "Two tokens of 64 channels")
    (before, after), (toward, along) = figure.subplots(2, 2)
    for axes, values, title in ((before, x, "x"), (after, y, "y, with γ = 1 and β = 0")):
        axes.plot(values[1], "o", color=ORANGE, markersize=3.5, label="3 + 6 · normal")
        axes.plot(values[0], "s", color=BLUE, markersize=3, label="normal")
        axes.axhline(0, color=FAINT, linewidth=1, zorder=0)
        set_labels(axes, title, "channel")
    before.legend(fontsize=8, frameon=False, labelcolor=MUTED, ncols=2, handletextpad=0.1, columnspacing=0.8, loc="upper left")
    before.set_ylim(-14, 28)

    # A gradient with a mean and a part along x̂, before and after (2).
    dy = 0.5 + 0.8 * y + 0.6 * rng.standard_normal(y.shape)
    dx, _, _ = layernorm_backward(dy, cache)
    _, _, _, rstd = cache
    for axes, gradient, title in ((toward, dy, "dy"), (along, dx / rstd.reshape(-1, 1), "dx / r")):
        axes.plot(y[1], gradient[1], "o", color=ORANGE, markersize=3.5)
        axes.plot(y[0], gradient[0], "s", color=BLUE, markersize=3)
        axes.axhline(0, color=FAINT, linewidth=1, zorder=0)
        axes.set_ylim(-2.6, 3.6)
        set_labels(axes, title, "x̂")
    return figure
