"""The eight kernels of a trained stem's first convolution, and what each makes of a picture."""

import numpy as np
from demo_model import image, model
from matplotlib.figure import Figure

from mvnp.layers.conv2d import conv2d_forward
from mvnp.visualize.figures.style import DIVERGING, new_figure, set_title


def draw() -> Figure:
    weight = model().patch_embed.conv_down[0].weight.data
    x = np.ascontiguousarray(image(0).transpose(0, 2, 3, 1))
    y, _ = conv2d_forward(x, weight, None, (2, 2), (1, 1))
    figure = new_figure(5.8, 2.2, "Eight kernels of 3×3, and their maps of a picture")
    grid = figure.subplots(2, 9)
    grid[0, 0].set_axis_off()
    grid[1, 0].imshow(x[0, :, :, 0], cmap="gray")
    grid[1, 0].set(xticks=[], yticks=[])
    set_title(grid[1, 0], "x")
    for channel, (above, below) in enumerate(grid[:, 1:].T):
        for axes, values in ((above, weight[channel, 0]), (below, y[0, :, :, channel])):
            most = np.abs(values).max()
            axes.imshow(values, cmap=DIVERGING, vmin=-most, vmax=most)
            axes.set(xticks=[], yticks=[])
    return figure
