"""Hidden attention of one token, and what one feature looks at, in the demo's models of three families."""

import numpy as np
from demo_model import first_of, model
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from mvnp.visualize import internals, mean_hidden_attention
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.arrays.receptive_field import pixels_for_share, stage_field
from mvnp.visualize.figures.overlay import show_marks, show_picture, show_query
from mvnp.visualize.figures.pixel_maps import bare
from mvnp.visualize.figures.style import SEQUENTIAL, add_colorbar, new_figure, set_title

MODELS = {
    "MambaVision": ("demo", "levels.2.blocks.0.mixer"),
    "Vim": ("vim_demo", "layers.2.mixer"),
    "VMamba": ("vmamba_demo", "layers.0.blocks.0.op"),
}
KIND, CHANNELS = "Bag", 16


def draw() -> Figure:
    figure = new_figure(5.8, 4.6, "Inside the three: one token of a bag")
    above, below = figure.subplots(2, 3)
    for name, upper, lower in zip(MODELS, above, below, strict=True):
        file, block = MODELS[name]
        x = first_of(KIND, file)
        scans = internals(model(file), x, [block]).routes[block]
        tokens = scans[0].tokens
        row, column = tokens.H // 2, tokens.W // 2
        window, token = tokens.find(row, column)
        takes = mean_hidden_attention(scans)[window, token]
        show_picture(upper, as_picture(x), tokens)
        others = np.where(np.arange(tokens.L) == token, np.nan, takes)
        shares = tokens.spread(window, others / np.nanmax(others))
        marks = show_marks(upper, tokens, np.where(shares > 0, shares, np.nan), Normalize(0.0, 1.0), area=True)
        show_query(upper, tokens, row, column)
        count = "one scan" if len(scans) == 1 else f"{len(scans)} scans"
        set_title(upper, f"{name}:\n{count}")
        field, _, _ = stage_field(model(file), x, len(model(file).channels) - 1, CHANNELS)
        drawn = lower.imshow(
            np.ma.masked_less(field / field.max(), 1e-4), cmap=SEQUENTIAL, norm=LogNorm(1e-4, 1.0), interpolation="nearest"
        )
        bare(lower)
        half = pixels_for_share(field, 0.5) / field.size
        set_title(lower, f"half of it from\n{half:.0%} of the pixels")
        for axes in (upper, lower):
            axes.title.set_fontsize(9)
    add_colorbar(figure, marks, list(above), "|α|, over the largest")
    add_colorbar(figure, drawn, list(below), "influence on the last stage")
    return figure
