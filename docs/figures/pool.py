"""What the mean over positions is a mean of: the map of a class, for four pictures and the class that the model sees."""

import numpy as np
from demo_model import demo, image, model, picture
from matplotlib.figure import Figure

from mvnp import Tape
from mvnp.layers.batchnorm import BatchNorm
from mvnp.visualize.figures.style import DIVERGING, add_colorbar, new_figure, set_title


def draw() -> Figure:
    figure = new_figure(5.8, 3.4, "The logit of the chosen class is the mean of a map")
    grid = figure.subplots(2, 4)
    shown = None
    for number, (above, below) in enumerate(grid.T):
        tape = Tape(training=False)
        logits = model()(image(number), tape)[0]
        norm = model().norm
        assert isinstance(norm, BatchNorm)
        x, weight, mean, rstd = next(cache for layer, cache in tape.entries if layer is norm)
        features = (x[0] - mean) * rstd * weight + norm.bias.data  # (2, 2, C), what the pool averages
        chosen = int(logits.argmax())
        head = model().head
        values = features @ head.weight.data[chosen] + head.bias.data[chosen]
        assert np.isclose(values.mean(), logits[chosen], rtol=1e-3)
        above.imshow(picture(number), cmap="gray")
        shown = below.imshow(values, cmap=DIVERGING, vmin=-10, vmax=10)
        for axes in (above, below):
            axes.set(xticks=[], yticks=[])
        set_title(above, (demo().classes or ())[chosen])
        set_title(below, f"mean {values.mean():.1f}")
    add_colorbar(figure, shown, list(grid[1]), "share in the logit")
    return figure
