"""How a training went: loss, test accuracy and learning rate over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ...errors import refusing
from ..arrays.training_curves import evaluation_series, running_mean, step_series
from .style import BLUE, FAINT, GREEN, INK, NARROW, ORANGE, WIDE, new_figure, set_labels


@refusing
def training_curves(records: Sequence[dict[str, Any]], *, narrow: bool = False) -> Figure:
    """Loss, test accuracy and learning rate, from the lines of a run's log (`mvnp.training.read_log`).

    narrow    laid out for a phone, the panels below one another

    How to read it. *Loss*: the cross-entropy of each training step (thin) and its running mean (thick), and that of the
    test images (squares) after each epoch, in nats. Guessing among ten classes costs ln 10 ≈ 2.3. Training images are
    altered at random and their labels may be smoothed, test images are not, so the two lines need not meet; it is a test
    loss that turns upwards which tells of overfitting. *Test accuracy*: the share of test images whose class had the largest
    logit. *Learning rate*: the length of the steps, a short warm-up and then half a cosine down.

    Raises InputError for a log without steps.
    """
    steps, tests = step_series(records), evaluation_series(records)
    figure = new_figure(*((NARROW, 8.0) if narrow else (WIDE, 3.6)), "How the training went")
    loss, accuracy, rate = figure.subplots(3, 1) if narrow else figure.subplots(1, 3)

    loss.plot(steps["step"], steps["loss"], color=BLUE, linewidth=0.6, alpha=0.35)
    loss.plot(steps["step"], running_mean(steps["loss"]), color=BLUE, linewidth=2.0, label="training, running mean")
    loss.plot(tests["step"], tests["test_loss"], color=ORANGE, linewidth=1.2, marker="s", markersize=4, label="test")
    loss.set_ylim(0, 1.05 * np.concatenate([steps["loss"], tests["test_loss"]]).max())
    loss.legend(frameon=False, fontsize=8, labelcolor=INK)
    set_labels(loss, "Loss", x="step", y="cross-entropy (nats)")

    accuracy.plot(tests["step"], tests["test_accuracy"], color=ORANGE, linewidth=1.2, marker="s", markersize=4)
    if len(tests["step"]):
        last = tests["test_accuracy"][-1]
        away = {"xytext": (4, -16) if last > 0.5 else (4, 9), "textcoords": "offset points", "ha": "right"}
        accuracy.annotate(f"{last:.1%}", (tests["step"][-1], last), fontsize=10, color=INK, fontweight="bold", **away)
    accuracy.set_ylim(0, 1.05)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    set_labels(accuracy, "Test accuracy", x="step", y="test images classified correctly")

    rate.plot(steps["step"], steps["lr"], color=GREEN, linewidth=2.0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    rate.yaxis.get_offset_text().set_fontsize(8)
    rate.set_ylim(bottom=0)
    set_labels(rate, "Learning rate", x="step", y="η")
    for axes in (loss, accuracy, rate):
        _quiet_grid(axes, int(steps["step"][-1]))
    return figure


def _quiet_grid(axes: Axes, steps: int) -> None:
    axes.set_xlim(0, max(steps, 1) * 1.06)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
