"""The four routes over a map of 3 by 4 tokens, and what each has read before one of them."""

import numpy as np
from demo_model import image
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mvnp.layers.cross_scan import ROUTES, cross_scan
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.figures.style import BLUE, ORANGE, new_figure, set_title

H, W, SIDE = 3, 4, 16
TOKEN = (1, 2)  # row and column
NAMES = ("0: row by row", "1: column by column", "2: 0 backwards", "3: 1 backwards")


def draw() -> Figure:
    # Each pixel holds its own number: so the sequences say in which order the pixels are read.
    orders = cross_scan(np.arange(float(H * W)).reshape(1, H, W, 1))[:, 0, :, 0].astype(int)
    picture = as_picture(np.repeat(np.repeat(image(8), 2, axis=2), 2, axis=3))[24 : 24 + H * SIDE, 8 : 8 + W * SIDE]
    figure = new_figure(5.8, 4.6, "Four routes over a map")
    for axes, route in zip(figure.subplots(2, 2).ravel(), ROUTES, strict=True):
        axes.imshow(picture, cmap="gray", extent=(-0.5, W - 0.5, H - 0.5, -0.5), alpha=0.45)
        rows, columns = orders[route] // W, orders[route] % W
        before = list(zip(rows, columns, strict=True))
        for row, column in before[: before.index(TOKEN)]:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=BLUE, alpha=0.3, linewidth=0))
        axes.plot(columns, rows, color=BLUE, linewidth=1.5)
        axes.annotate("", (columns[-1], rows[-1]), (columns[-2], rows[-2]), arrowprops={"arrowstyle": "-|>", "color": BLUE})
        axes.plot(columns[0], rows[0], "o", color=BLUE, markersize=6)
        axes.plot(TOKEN[1], TOKEN[0], "s", color=ORANGE, markersize=10)
        axes.set_xticks([])
        axes.set_yticks([])
        set_title(axes, NAMES[route])
    return figure
