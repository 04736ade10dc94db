"""What the gate multiplies by, and what comes out."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers.gate import gate_forward
from mvnp.visualize.figures.style import BLUE, FAINT, new_figure, set_labels


def draw() -> Figure:
    z, x = np.linspace(-6, 6, 241), np.linspace(-3, 3, 121)
    figure = new_figure(5.8, 2.5, "y = x · SiLU(z)")
    curve, area = figure.subplots(1, 2)
    curve.plot(z, gate_forward(np.ones_like(z), z)[0], color=BLUE)
    curve.axhline(0, color=FAINT, linewidth=1, zorder=0)
    set_labels(curve, "y for x = 1", "z")
    across, up = np.meshgrid(z, x)
    image = area.imshow(
        gate_forward(up, across)[0], origin="lower", extent=(-6, 6, -3, 3), aspect="auto", cmap="RdBu", vmin=-12, vmax=12
    )
    figure.colorbar(image, ax=area)
    set_labels(area, "y for each x", "z", "x")
    return figure
