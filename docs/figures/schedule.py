"""Three schedules of the learning rate."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.training import cosine_rate, learning_rate
from mvnp.visualize.figures.style import BLUE, GREEN, ORANGE, new_figure, set_labels


def draw() -> Figure:
    epochs = np.arange(0, 321)
    figure = new_figure(6.4, 2.8, "Learning rate by epoch")
    axes = figure.subplots()
    ours = [learning_rate(int(t), 320, 20, 5e-3, 5e-6, 1e-6) for t in epochs]
    official = [cosine_rate(int(t), 310, 5e-3, 5e-6, warmup=20, warmup_lr=1e-6) for t in epochs]
    cycles = [cosine_rate(int(t), 106, 5e-3, 5e-6, warmup=20, warmup_lr=1e-6, cycles=3, cycle_decay=0.5) for t in epochs]
    axes.plot(epochs, ours, color=BLUE, linewidth=2, label="cosine after the warm-up")
    axes.plot(epochs, official, color=ORANGE, linewidth=2, linestyle="--", label="official: beside it, then cool-down")
    axes.plot(epochs, cycles, color=GREEN, linewidth=2, linestyle=":", label="three cycles")
    set_labels(axes, "", "epoch", "")
    axes.legend(frameon=False, fontsize=8)
    return figure
