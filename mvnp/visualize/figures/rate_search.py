"""How the loss answers to a learning rate that grows step by step."""

from __future__ import annotations

from matplotlib.figure import Figure

from ...errors import refusing
from ...training.find_lr import RateSearch
from .style import BLUE, FAINT, INK, ORANGE, WIDE, new_figure, set_labels


@refusing
def rate_search(search: RateSearch) -> Figure:
    """The loss of each step (thin) and smoothed (thick) against its learning rate, and the rate that is suggested.

    How to read it. On the left the rate is too small to change anything; where the line falls, the network learns; where it
    turns upwards, steps are too long. A rate at the steepest place leaves room on both sides.
    """
    figure = new_figure(WIDE * 0.7, 3.6, "Which learning rate")
    axes = figure.subplots()
    axes.plot(search.rates, search.losses, color=BLUE, linewidth=0.6, alpha=0.4)
    axes.plot(search.rates, search.smoothed, color=BLUE, linewidth=2.0)
    axes.axvline(search.suggestion, color=ORANGE, linewidth=1.2)
    axes.text(search.suggestion, axes.get_ylim()[1], f" {search.suggestion:.1e}", color=INK, fontsize=9, va="top")
    axes.set_xscale("log")
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    set_labels(axes, "", x="learning rate", y="loss (nats)")
    return figure
