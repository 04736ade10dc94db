"""What one token of a bag attends to, head by head, in a trained model's first attention block."""

import numpy as np
from demo_model import first_of, model
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mvnp.visualize import internals
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.arrays.window_attention import query_weights
from mvnp.visualize.figures.overlay import show_marks, show_picture, show_query
from mvnp.visualize.figures.style import add_colorbar, new_figure, set_title

QUERY = (1, 1)


def draw() -> Figure:
    x = first_of("Bag")
    record = internals(model(), x).attentions["levels.2.blocks.1.mixer"]
    maps = query_weights(record, *QUERY)
    norm = Normalize(0.0, float(np.nanmax(maps)))
    figure = new_figure(5.8, 2.5, "What the framed token takes, and from where")
    panels = figure.subplots(1, len(maps))
    marks = None
    for head, (axes, weights) in enumerate(zip(panels, maps, strict=True)):
        show_picture(axes, as_picture(x), record.windows)
        marks = show_marks(axes, record.windows, weights, norm, area=True)
        show_query(axes, record.windows, *QUERY)
        set_title(axes, f"head {head + 1}")
    add_colorbar(figure, marks, list(panels), "attention weight", location="bottom", aspect=40)
    return figure
