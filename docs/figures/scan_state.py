"""The first scan of the demo's model on a bag: its path, its state after each token, and its steps."""

import numpy as np
from demo_model import first_of, model
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mvnp.visualize import internals
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.arrays.scan_state import mean_steps, state_norms
from mvnp.visualize.figures.scan_panels import around_the_middle, draw_map, draw_path
from mvnp.visualize.figures.style import new_figure, set_title


def draw() -> Figure:
    x = first_of("Bag")
    scan = internals(model(), x).scans["levels.2.blocks.0.mixer"]
    norms, steps = (scan.windows.lay_out(values) for values in (state_norms(scan), mean_steps(scan)))
    figure = new_figure(5.8, 2.2, "What the scan remembers")
    path, state, step = figure.subplots(1, 3)
    draw_path(path, scan.windows, as_picture(x))
    draw_map(state, scan.windows, as_picture(x), norms, Normalize(0.0, float(np.nanmax(norms))), "‖h‖")
    draw_map(step, scan.windows, as_picture(x), steps, around_the_middle(steps), "mean Δ")
    for axes, title in ((path, "Scan path"), (state, "State after a token"), (step, "Step of a token")):
        set_title(axes, title)
    return figure
