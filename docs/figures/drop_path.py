"""Drop path's rates in mamba_vision_T, and the blocks that eight samples pass through in one step."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import mvnp
from mvnp.layers.drop_path import DropPath
from mvnp.layers.dropout import draw_mask
from mvnp.visualize.figures.style import BLUE, FAINT, new_figure, set_labels


def draw() -> Figure:
    model = mvnp.create_model("mamba_vision_T", allocate=False)
    # A hybrid block has two: one behind the mixer, one behind the MLP.
    rates = np.array([layer.rate for _, layer in model.named_layers() if isinstance(layer, DropPath)])
    rng = np.random.default_rng(2)
    x = np.zeros((8, 1))
    taken = np.stack([draw_mask(rng, (8, 1), rate, x)[:, 0] > 0 for rate in rates], axis=1)
    figure = new_figure(5.8, 3.0, "mamba_vision_T, from the stem to the head")
    upper, lower = figure.subplots(2, 1, height_ratios=(1, 1.3), sharex=True)
    upper.bar(np.arange(len(rates)), rates, color=BLUE, width=0.8)
    set_labels(upper, "rate p of each branch")
    lower.imshow(taken, cmap=ListedColormap([FAINT, BLUE]), aspect="auto", interpolation="nearest", vmin=0, vmax=1)
    lower.set_yticks([])
    set_labels(lower, "branches that eight samples take (filled) and skip", "residual branch", "sample")
    return figure
