"""Which numbers meet in a linear layer's three products, drawn as the matrices that they are."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers.linear import linear_backward, linear_forward
from mvnp.visualize.figures.style import DIVERGING, MUTED, new_figure, set_title


def draw() -> Figure:
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((7, 4)), rng.standard_normal((5, 4))
    y, cache = linear_forward(x, weight)
    dy = rng.standard_normal(y.shape)
    dx, dweight, _ = linear_backward(dy, cache)
    figure = new_figure(5.8, 4.6, "7 vectors of 4 channels, to 5 channels")
    products = (
        {"y =": y, "x": x, "Wᵀ": weight.T},
        {"dx =": dx, "dy": dy, "W": weight},
        {"dW =": dweight, "dyᵀ": dy.T, "x": x},
    )
    for line, product in zip(figure.subplots(3, 3), products, strict=True):
        for axes, (name, values) in zip(line, product.items(), strict=True):
            axes.imshow(values, cmap=DIVERGING, vmin=-3, vmax=3)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(MUTED)
            set_title(axes, f"{name}  {values.shape[0]}×{values.shape[1]}")
    return figure
