"""Three averages of one noisy weight."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.core import Layer, Param
from mvnp.training import EMA
from mvnp.visualize.figures.style import BLUE, FAINT, GREEN, ORANGE, new_figure, set_labels

UPDATES = 400


class Weight(Layer):
    """A single number."""

    def __init__(self) -> None:
        self.weight = Param(np.zeros(1))


def draw() -> Figure:
    rng, model = np.random.default_rng(0), Weight()
    walk = 1 - np.exp(-np.arange(1, UPDATES + 1) / 80) + 0.15 * rng.standard_normal(UPDATES)
    averages = {decay: EMA(model, decay) for decay in (0.9, 0.99, 0.9998)}
    lines: dict[float, list[float]] = {decay: [] for decay in averages}
    for value in walk:
        model.weight.data[:] = value
        for decay, average in averages.items():
            average.update(model)
            lines[decay].append(float(average.model.weight.data[0]))
    figure = new_figure(6.0, 2.8, "A weight, and its average")
    axes = figure.subplots()
    axes.plot(walk, color=FAINT, linewidth=1, label="the weight")
    for (decay, line), colour, style in zip(lines.items(), (BLUE, ORANGE, GREEN), ("-", "--", ":"), strict=True):
        axes.plot(line, color=colour, linestyle=style, linewidth=2, label=f"d = {decay}")
    set_labels(axes, "", "update", "")
    axes.legend(frameon=False, fontsize=8)
    return figure
