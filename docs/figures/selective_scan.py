"""The memory of a trained scan, on a picture and along its path. The bag is the first one among the test pictures."""

import numpy as np
from demo_model import first_of, model
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mvnp.visualize import internals
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.arrays.scan_state import state_norms, states_by_timescale
from mvnp.visualize.figures.overlay import show_marks, show_picture
from mvnp.visualize.figures.style import DIVERGING, NARROW, add_colorbar, new_figure, set_labels, set_title


def draw() -> Figure:
    x = first_of("Bag")
    scan = internals(model(), x).scans["levels.2.blocks.0.mixer"]
    norms = scan.windows.lay_out(state_norms(scan))
    lines, _ = states_by_timescale(scan)
    lines = lines / np.maximum(np.abs(lines).max(axis=1, keepdims=True), 1e-30)

    figure = new_figure(5.8, NARROW, "What a trained scan remembers of a bag")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    show_picture(left, as_picture(x), scan.windows)
    add_colorbar(figure, show_marks(left, scan.windows, norms, Normalize(0, norms.max())), left, "‖h‖", location="bottom")
    set_title(left, "length of the state")
    heat = right.imshow(lines, aspect="auto", cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    for start in range(scan.windows.P, lines.shape[1], scan.windows.P):
        right.axvline(start - 0.5, color="black", linewidth=0.6)
    add_colorbar(figure, heat, right, "h / max |h|", location="bottom")
    set_labels(right, "256 states, the fastest at the top", "token t, row by row")
    return figure
