"""The kernels that a trained mixer has, and what they make of its sixteen tokens."""

import numpy as np
from demo_model import image, model
from matplotlib.figure import Figure

from mvnp import Tape
from mvnp.layers.conv1d import Conv1d, conv1d_forward
from mvnp.visualize.figures.style import BLUE, DIVERGING, MUTED, ORANGE, add_colorbar, new_figure, set_labels


def draw() -> Figure:
    tape = Tape(training=False)
    model()(image(0), tape)
    path = "levels.2.blocks.0.mixer.conv1d_x"
    x, weight = next(cache[:2] for layer, cache in tape.entries if isinstance(layer, Conv1d) and layer.path == path)
    y, _ = conv1d_forward(x, weight)
    kernels = weight[:, 0]
    channel = int(np.abs(kernels).max(axis=1).argmax())
    figure = new_figure(5.8, 2.8, "The convolution before a trained scan")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    most = np.abs(kernels).max()
    heat = left.imshow(kernels, aspect="auto", cmap=DIVERGING, vmin=-most, vmax=most, interpolation="nearest")
    left.set_xticks(range(3), ["t − 1", "t", "t + 1"])
    add_colorbar(figure, heat, left, "")
    set_labels(left, "kernels", "", "channel")
    right.plot(x[0, :, channel], "o", color=MUTED, markersize=4, label="x")
    right.plot(y[0, :, channel], "s-", color=BLUE, markersize=4, linewidth=1, label="y")
    for start in range(4, 16, 4):
        right.axvline(start - 0.5, color=ORANGE, linewidth=0.8, linestyle=":")
    right.set_xticks(range(0, 16, 4))
    right.legend(fontsize=8, frameon=False, labelcolor=MUTED)
    set_labels(right, f"channel {channel}; dots: a new row of the window", "token t")
    return figure
