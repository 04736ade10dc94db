"""Sixteen channels of a trained convolution, before its BatchNorm and after it."""

import numpy as np
from demo_model import image, model
from matplotlib.figure import Figure

from mvnp import Tape
from mvnp.layers.batchnorm import batchnorm_forward
from mvnp.visualize.figures.style import BLUE, FAINT, ORANGE, new_figure, set_labels


def before_norm(number: int) -> np.ndarray:
    """What the first norm of level 0 is given for a test picture, (1, H, W, C)."""
    tape = Tape(training=False)
    model()(image(number), tape)
    return next(cache[0] for layer, cache in tape.entries if layer.path == "levels.0.blocks.0.norm1")


def draw() -> Figure:
    x = np.concatenate([before_norm(number) for number in range(16)])
    C = x.shape[-1]
    y, _ = batchnorm_forward(x, np.ones(C, x.dtype), np.zeros(C, x.dtype))
    figure = new_figure(5.8, 2.8, "16 channels of the first block's convolution, for 16 pictures")
    for axes, values, color, title in zip(
        figure.subplots(1, 2), (x, y), (ORANGE, BLUE), ("x", "x̂: mean 0, spread 1"), strict=True
    ):
        rows = values.reshape(-1, C)
        low, first, middle, third, high = np.percentile(rows, (2, 25, 50, 75, 98), axis=0)
        axes.vlines(np.arange(C), low, high, color=color, linewidth=1)
        axes.vlines(np.arange(C), first, third, color=color, linewidth=4)
        axes.plot(np.arange(C), middle, "_", color=FAINT, markersize=6)
        axes.axhline(0, color=FAINT, linewidth=1, zorder=0)
        axes.set_xticks(range(0, C, 5))
        set_labels(axes, title, "channel")
    return figure
