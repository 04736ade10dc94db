"""How one run went, or two beside each other: losses, accuracies, learning rate and gradients, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ...errors import refusing
from ..arrays.run_curves import epoch_table, norms_by_depth
from .style import BLUE, FAINT, GREEN, INK, NARROW, ORANGE, SEQUENTIAL, WIDE, add_colorbar, new_figure, plain, set_labels

COLOURS = (BLUE, ORANGE, GREEN)


@refusing
def run_curves(runs: Mapping[str, Sequence[dict[str, Any]]], *, narrow: bool = False) -> Figure:
    """Losses, accuracies, learning rate and the gradients' norm of runs, {name: the lines of its log}.

    narrow    laid out for a phone, the panels below one another

    How to read it. *Loss*: of the training steps (dotted) and of the test images (solid). With mixed pictures and MESA the
    training loss is of a harder task and may stay above the other. *Accuracy*: of the weights (solid) and of their average
    (dashed): it pays where it lies above, and where both meet the run has come to rest. *Gradient norm*: mean over an epoch,
    before clipping.
    """
    figure = new_figure(*((NARROW, 10.5) if narrow else (WIDE, 6.0)), "How the training went")
    panels = figure.subplots(4, 1) if narrow else figure.subplots(2, 2).ravel()
    loss, accuracy, rate, norm = panels
    for colour, (name, records) in zip(COLOURS, runs.items(), strict=False):
        table = epoch_table(records)
        label = plain(name)
        _line(loss, table, "train_loss", colour, ":", f"{label}, training")
        _line(loss, table, "test_loss", colour, "-", f"{label}, test")
        _line(accuracy, table, "test_accuracy", colour, "-", label)
        _line(accuracy, table, "ema_accuracy", colour, "--", f"{label}, average of the weights")
        _line(rate, table, "lr", colour, "-", label)
        _line(norm, table, "grad_norm", colour, "-", label)
    set_labels(loss, "Loss", x="epoch", y="nats")
    set_labels(accuracy, "Test accuracy", x="epoch")
    set_labels(rate, "Learning rate at the end of the epoch", x="epoch", y="η")
    set_labels(norm, "Norm of the gradients", x="epoch")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    for panel in panels:
        panel.grid(color=FAINT, linewidth=0.7)
        panel.set_axisbelow(True)
        panel.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        if len(panel.lines) > 1:
            panel.legend(frameon=False, fontsize=7, labelcolor=INK)
    return figure


@refusing
def gradient_depths(records: Sequence[dict[str, Any]], *, narrow: bool = False) -> Figure:
    """The norm of the gradients at each depth, from stem to head, in the last step of each epoch.

    How to read it. Each row is a depth, the stem below and the head above; each column an epoch. Lighter is larger, and the
    scale is logarithmic. A network that learns everywhere has no dark band; where the rows near the stem fade, what is
    learnt there is little.
    """
    epochs, norms = norms_by_depth(records)
    figure = new_figure(*((NARROW, 3.2) if narrow else (WIDE, 3.6)), "Gradients by depth")
    axes = figure.subplots()
    shown = np.log10(np.maximum(norms.T, 1e-12))
    edges = (epochs[0] - 0.5, epochs[-1] + 0.5, -0.5, shown.shape[0] - 0.5)
    drawn = axes.imshow(shown, origin="lower", aspect="auto", cmap=SEQUENTIAL, interpolation="nearest", extent=edges)
    set_labels(axes, "", x="epoch", y="depth")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    add_colorbar(figure, drawn, axes, "log₁₀ of the norm")
    return figure


def _line(axes: Any, table: Mapping[str, np.ndarray], name: str, colour: str, style: str, label: str) -> None:
    known = np.isfinite(table[name])
    if known.any():
        marker = "o" if known.sum() == 1 else ""
        axes.plot(
            table["epoch"][known], table[name][known], color=colour, linestyle=style, linewidth=1.6, marker=marker, label=label
        )
