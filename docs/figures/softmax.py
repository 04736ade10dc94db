"""The logits of a trained model for one picture, its probabilities, and what a gradient becomes on the way back."""

import numpy as np
from demo_model import demo, image, model
from matplotlib.figure import Figure

from mvnp.layers.softmax import softmax_backward, softmax_forward
from mvnp.visualize.figures.style import BLUE, MUTED, ORANGE, new_figure, set_labels


def draw() -> Figure:
    candidates = np.concatenate([model()(image(number)) for number in range(40)])
    unsure = softmax_forward(candidates)[0].max(axis=1).argmin()
    logits = candidates[unsure : unsure + 1]
    y, cache = softmax_forward(logits)
    dy = np.ones_like(y)
    dy[0, y[0].argmax()] = 2.0
    dx = softmax_backward(dy, cache)
    figure = new_figure(5.8, 3.4, "Ten scores, their weights, and a gradient on its way back")
    left, middle, right = figure.subplots(1, 3, sharey=True)
    rows = np.arange(y.shape[1])
    left.barh(rows, logits[0], color=MUTED)
    middle.barh(rows, y[0], color=BLUE)
    right.barh(rows, dx[0], color=ORANGE)
    left.set_yticks(rows, demo().classes)
    left.invert_yaxis()
    for axes, title in ((left, "x"), (middle, "y = softmax(x)"), (right, "dx, for dy = 1, but 2\nat the largest")):
        axes.axvline(0, color=MUTED, linewidth=0.8)
        set_labels(axes, title)
    return figure
