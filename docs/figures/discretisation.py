"""What one step keeps of the old memory and takes in of the new: the exact hold and Euler's rule, against the step."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.visualize.figures.style import BLUE, FAINT, MUTED, ORANGE, new_figure, set_labels


def draw() -> Figure:
    step = np.linspace(1e-3, 2.0, 200)
    figure = new_figure(5.8, 2.9, "One step of length Δ, for A = −1 and A = −4")
    kept, taken = figure.subplots(1, 2)
    for A, width in ((-1.0, 2.2), (-4.0, 1.1)):
        kept.plot(step, np.exp(step * A), color=BLUE, linewidth=width, label=f"hold, A = {A:g}")
        kept.plot(step, 1 + step * A, color=ORANGE, linewidth=width, linestyle="--", label=f"Euler, A = {A:g}")
        taken.plot(step, np.expm1(step * A) / A, color=BLUE, linewidth=width)
    taken.plot(step, step, color=ORANGE, linewidth=1.6, linestyle="--")
    kept.axhline(0, color=FAINT, linewidth=1, zorder=0)
    kept.set_ylim(-1.6, 1.1)
    taken.set_ylim(0, 1.25)
    set_labels(kept, "factor of the old state", "Δ")
    set_labels(taken, "factor of B x", "Δ")
    figure.legend(fontsize=8, frameon=False, labelcolor=MUTED, loc="outside lower center", ncols=4, columnspacing=1.0)
    return figure
