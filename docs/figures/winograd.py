"""The three matrices of Winograd's convolution in one dimension."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers import winograd
from mvnp.visualize.figures.style import DIVERGING, new_figure, set_title


def draw() -> Figure:
    A, G, T = winograd.matrices()
    figure = new_figure(5.8, 2.6, "Four outputs at a time, with six products")
    names = ("Aᵀ: products to outputs", "G: the kernel", "T: the six inputs")
    for axes, name, values in zip(figure.subplots(1, 3), names, (A.T, G, T), strict=True):
        most = np.abs(values).max()
        axes.imshow(values, cmap=DIVERGING, vmin=-most, vmax=most)
        for (row, column), value in np.ndenumerate(values):
            # Colours that the dark page leaves alone, as it does the cells below them.
            color = "#fdfdfd" if abs(value) > 0.6 * most else "#111111"
            axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=6, color=color)
        axes.set(xticks=[], yticks=[])
        set_title(axes, name)
    return figure
