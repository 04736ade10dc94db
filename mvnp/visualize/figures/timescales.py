"""How long the states of a mixer's scan remember."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ...backend import Array
from ...errors import refusing
from ...models.classifier import Classifier
from ..arrays.geometry import WindowGeometry
from ..arrays.internals import record_scan
from ..arrays.timescales import by_pace, share_by_timescale
from .panels import title_of
from .style import BLUE, FAINT, INK, MUTED, NARROW, ORANGE, SEQUENTIAL, WIDE, add_colorbar, new_figure, set_labels


@refusing
def timescales(
    model: Classifier, image: Array, *, block: str | None = None, route: str | None = None, narrow: bool = False
) -> Figure:
    """How long each state of one mixer remembers, with the steps that it took over an image (1, C, H, W).

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    route     which of its scans, where there are several; None: the first
    narrow    laid out for a phone, the panels below one another

    How to read it. τ = −1 / log ā is the number of tokens after which a state has faded to 1/e, with the image's mean Δ of
    its channel. *How many*: the share of all states whose τ is at most so long. Upright lines mark one token, a line of the
    window or map, and all of it: left of the first a state is little more than its own token, between the others it reaches
    into the rows above, and right of the last it gathers over the whole window. *Each state*: channels from fast to slow
    against the N states of each; at the start of training state n fades n times as fast as state 1, and what has changed was
    learnt.
    """
    scan = record_scan(model, image, block, route)
    title = title_of("How long states remember", scan, narrow)
    if narrow:
        figure = new_figure(NARROW, 6.4, title)
        left, right = figure.subplots(2, 1)
    else:
        figure = new_figure(WIDE, 3.8, title)
        left, right = figure.subplots(1, 2)
    length, share = share_by_timescale(scan)
    left.plot(length, share, color=INK, linewidth=1.6, drawstyle="steps-post")
    left.set_xscale("log")
    line, L = scan.windows.line, scan.windows.L
    row, whole = ("a row", "the\nwindow") if isinstance(scan.windows, WindowGeometry) else ("a line", "all")
    for tokens, name, colour in ((1, "one\ntoken", MUTED), (line, row, BLUE), (L, whole, ORANGE)):
        left.axvline(tokens, color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
        left.annotate(
            name, (tokens, 1.0), xycoords=left.get_xaxis_transform(), xytext=(3, -2), textcoords="offset points",
            ha="left", va="top", fontsize=8, color=colour, linespacing=0.9,
        )  # fmt: skip
    left.xaxis.set_major_formatter("{x:g}")
    left.set_xlim(min(length[0], 1) / 1.6, max(length[-1], L) * 2.2)
    left.set_ylim(0, 1.16)
    left.set_yticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "¼", "½", "¾", "1"])
    left.grid(axis="y", color=FAINT, linewidth=0.8)
    set_labels(left, "How many", x="τ in tokens", y=f"share of the {scan.timescale.size} states")

    by_channel = by_pace(scan)
    drawn = right.imshow(
        by_channel.T, aspect="auto", cmap=SEQUENTIAL, interpolation="nearest", norm=LogNorm(by_channel.min(), by_channel.max())
    )
    right.set_yticks(np.arange(by_channel.shape[1]), labels=[str(n + 1) for n in range(by_channel.shape[1])])
    set_labels(right, "Each state", x=f"{len(by_channel)} channels, the fastest at the left", y="state n of the channel")
    bar = add_colorbar(figure, drawn, right, "τ in tokens")
    ticks = [lead * 10.0**power for power in range(-6, 9) for lead in (1, 2, 5)]
    ticks = [tick for tick in ticks if by_channel.min() <= tick <= by_channel.max()]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.yaxis.set_minor_locator(NullLocator())
    return figure
