"""A function of one number, its slope, and the numbers that a trained model gives it: for the pages of the activations."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from demo_model import image, model
from matplotlib.figure import Figure

from mvnp import Tape
from mvnp.visualize.figures.style import BLUE, FAINT, MUTED, ORANGE, new_figure, set_labels

Pair = tuple[Callable[..., tuple[Any, Any]], Callable[..., Any]]  # forward and backward of a layer


def curves(title: str, pairs: Mapping[str, Pair], inputs: np.ndarray, half: float = 4.0) -> Figure:
    """y and dy/dx from running the layers, on [−half, half]; behind them a histogram of `inputs`."""
    x = np.linspace(-half, half, 401)
    figure = new_figure(5.8, 2.7, title)
    left, right = figure.subplots(1, 2)
    for (name, (forward, backward)), color, style in zip(pairs.items(), (BLUE, ORANGE), ("-", "--"), strict=False):
        y, cache = forward(x)
        left.plot(x, y, style, color=color, linewidth=1.8, label=name)
        right.plot(x, backward(np.ones_like(x), cache), style, color=color, linewidth=1.8)
    for axes, label in ((left, "y"), (right, "dy/dx")):
        low, high = axes.get_ylim()
        counts, edges = np.histogram(inputs, bins=60, range=(-half, half))
        heights = 0.35 * (high - low) * counts / counts.max()
        axes.bar(edges[:-1], heights, np.diff(edges), low, align="edge", color=FAINT, zorder=0)
        axes.set_ylim(low, high)
        set_labels(axes, label, "x")
    if len(pairs) > 1:
        left.legend(fontsize=8, frameon=False, labelcolor=MUTED, loc="upper left")
    return figure


def caches(kind: type) -> list[tuple[Any, Any]]:
    """(layer, cache) of every layer of this kind, in a pass of the trained model over four pictures."""
    found = []
    for number in range(4):
        tape = Tape(training=False)
        model()(image(number), tape)
        found += [(layer, cache) for layer, cache in tape.entries if isinstance(layer, kind)]
    return found
