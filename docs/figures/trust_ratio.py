"""How far LAMB and AdamW move three matrices of different scale in a step, as a share of their length."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.core import Param
from mvnp.training import LAMB, AdamW
from mvnp.visualize.figures.style import BLUE, GREEN, ORANGE, new_figure, set_labels

SCALES, LR, STEPS = (0.02, 0.2, 2.0), 0.005, 60


def shares(kind: type) -> np.ndarray:
    """‖Δθ‖/‖θ‖ for each step and matrix."""
    rng = np.random.default_rng(0)
    params = {f"{scale}": Param(scale * rng.standard_normal((64, 64))) for scale in SCALES}
    optimizer, rows = kind(params.items(), weight_decay=0.05), []
    drift = rng.standard_normal((64, 64))
    for _ in range(STEPS):
        before = {name: param.data.copy() for name, param in params.items()}
        optimizer.step({name: drift + rng.standard_normal((64, 64)) for name in params}, LR)
        moved = [np.linalg.norm(param.data - before[name]) / np.linalg.norm(before[name]) for name, param in params.items()]
        rows.append(moved)
    return np.array(rows)


def draw() -> Figure:
    figure = new_figure(6.4, 2.8, "Length of a step over the length of the parameter, η = 0.005")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (name, kind) in zip(panels, (("LAMB", LAMB), ("AdamW", AdamW)), strict=True):
        for row, scale, colour, style in zip(shares(kind).T, SCALES, (BLUE, ORANGE, GREEN), ("-", "--", ":"), strict=True):
            panel.semilogy(
                np.arange(1, STEPS + 1), row, color=colour, linestyle=style, linewidth=2, label=f"entries near {scale}"
            )
        set_labels(panel, name, "step", "share" if name == "LAMB" else "")
        panel.set_ylim(5e-4, 1)
    panels[1].legend(frameon=False, fontsize=8)
    return figure
