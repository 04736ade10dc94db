"""How a signal grows through a stack of residual branches: gains of 1, of 0.1, and the 1e-5 that layer scale begins with."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers.gelu import gelu_forward
from mvnp.layers.layer_scale import layer_scale_forward
from mvnp.layers.linear import linear_forward
from mvnp.visualize.figures.style import BLUE, GREEN, MUTED, ORANGE, new_figure, set_labels

C, DEPTH = 64, 24


def draw() -> Figure:
    figure = new_figure(5.8, 2.8, f"x + γ f(x), {DEPTH} times, with random f")
    axes = figure.subplots()
    for gain, color, style in ((1.0, ORANGE, "s-"), (0.1, GREEN, "^-"), (1e-5, BLUE, "o-")):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((32, C))
        sizes = [np.sqrt(np.mean(x**2))]
        for _ in range(DEPTH):
            hidden, _ = gelu_forward(linear_forward(x, rng.standard_normal((C, C)) * np.sqrt(2 / C))[0])
            branch, _ = linear_forward(hidden, rng.standard_normal((C, C)) / np.sqrt(C))
            x = x + layer_scale_forward(branch, np.full(C, gain))[0]
            sizes.append(np.sqrt(np.mean(x**2)))
        axes.semilogy(sizes, style, color=color, markersize=3, linewidth=1, label=f"γ = {gain:g}")
    axes.legend(fontsize=8, frameon=False, labelcolor=MUTED)
    set_labels(axes, "root mean square of x", "block")
    return figure
