"""One channel of a picture, and what two depthwise kernels make of it."""

import numpy as np
from demo_model import image
from matplotlib.figure import Figure

from mvnp.layers.depthwise_conv2d import depthwise_conv2d_forward
from mvnp.visualize.figures.style import DIVERGING, new_figure, set_title

ACROSS = np.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]) / 4


def draw() -> Figure:
    grey = image(0)[:, 0, :, :, None]
    kernels = np.stack([ACROSS, ACROSS.T])[:, None].astype(grey.dtype)
    y, _ = depthwise_conv2d_forward(np.concatenate([grey, grey], axis=3), kernels)
    figure = new_figure(5.8, 2.3, "A kernel for each channel")
    axes = figure.subplots(1, 3)
    most = np.abs(y).max()
    axes[0].imshow(grey[0, ..., 0], cmap="gray")
    for number, name in enumerate(("left minus right", "above minus below")):
        axes[number + 1].imshow(y[0, ..., number], cmap=DIVERGING, vmin=-most, vmax=most)
        set_title(axes[number + 1], name)
    set_title(axes[0], "x")
    for each in axes:
        each.set_xticks([])
        each.set_yticks([])
    return figure
