"""Loss and gradient of a single question, for three targets."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers.binary_cross_entropy import binary_cross_entropy_backward, binary_cross_entropy_forward
from mvnp.visualize.figures.style import BLUE, GREEN, MUTED, ORANGE, new_figure, set_labels


def draw() -> Figure:
    figure = new_figure(6.4, 2.6, "One question")
    left, right = figure.subplots(1, 2)
    logits = np.linspace(-6.0, 6.0, 121)
    for target, colour, style in ((0.0, BLUE, "-"), (0.3, ORANGE, "--"), (1.0, GREEN, ":")):
        pairs = [binary_cross_entropy_forward(np.array([[z]]), np.array([[target]])) for z in logits]
        left.plot(logits, [float(loss) for loss, _ in pairs], color=colour, linestyle=style, linewidth=2, label=f"p = {target}")
        slopes = [binary_cross_entropy_backward(1.0, cache)[0, 0] for _, cache in pairs]
        right.plot(logits, slopes, color=colour, linestyle=style, linewidth=2)
    right.axhline(0, color=MUTED, linewidth=0.8)
    set_labels(left, "loss", "logit", "nats")
    set_labels(right, "gradient", "logit", "")
    left.legend(frameon=False, fontsize=8)
    return figure
