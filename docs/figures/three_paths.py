"""The ways of three mixers over one photograph, on a map of 8x8 tokens."""

import numpy as np
from demo_model import first_of
from matplotlib.figure import Figure

from mvnp.layers.cross_scan import cross_scan
from mvnp.visualize import PathGeometry, WindowGeometry
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.figures.scan_panels import draw_path
from mvnp.visualize.figures.style import new_figure, set_title

SIDE, STRIDE = 8, 8
ROWS = tuple(range(SIDE * SIDE))
MIDDLE = (*ROWS[:32], -1, *ROWS[32:])  # with Vim's class token
ROUTES = cross_scan(np.arange(64.0).reshape(1, SIDE, SIDE, 1))[:, 0, :, 0].astype(int)


def path(order: np.ndarray | tuple[int, ...]) -> PathGeometry:
    return PathGeometry(SIDE, SIDE, STRIDE, tuple(int(number) for number in order), offset=(STRIDE - 1) / 2)


PANELS = (
    (("MambaVision", WindowGeometry(SIDE, SIDE, 4, STRIDE)), ("Vim: there", path(MIDDLE)), ("Vim: back", path(MIDDLE[::-1]))),
    (("VMamba: rows", path(ROUTES[0])), ("VMamba: columns", path(ROUTES[1]))),
    (("rows backwards", path(ROUTES[2])), ("columns backwards", path(ROUTES[3]))),
)


def draw() -> Figure:
    picture = as_picture(first_of("Sneaker"))
    figure = new_figure(4.8, 5.3, "Three ways over one photograph")
    for row, panels in zip(figure.subplots(3, 3), PANELS, strict=True):
        for axes, (name, tokens) in zip(row, panels, strict=False):
            draw_path(axes, tokens, picture)
            set_title(axes, name)
        for left_over in row[len(panels) :]:
            figure.delaxes(left_over)
    return figure
