"""The panels that the figures of a scan are made of: the path, a map, the states as lines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.ticker import NullLocator

from ..arrays.geometry import Geometry
from ..arrays.records import ScanRecord
from ..arrays.scan_state import path_points, states_by_timescale
from .overlay import fineness, show_marks, show_picture
from .style import DIVERGING, FAINT, INK, PATH, add_colorbar, set_labels


def draw_path(axes: Axes, windows: Geometry, picture: np.ndarray) -> None:
    """The picture, and over it the way of the scan through each window, from a circle to a square."""
    show_picture(axes, picture, windows)
    points, on_map = path_points(windows), windows.on_map
    fine = fineness(windows)
    order = Normalize(0, points.shape[1] - 1)
    jump = np.zeros(points.shape[1], bool)
    jump[windows.line_starts[1:]] = True
    for window, placed in zip(points, on_map, strict=True):
        segments = np.stack([window[:-1], window[1:]], axis=1)
        jumps = jump[1:] | ~placed[1:] | ~placed[:-1]
        for chosen, width, dash in ((jumps, 1.0 * fine, (0, (3, 2))), (~jumps, 2.4 * fine, "solid")):
            if not chosen.any():
                continue
            # Light below, so that the dark beginning of the path shows on a dark picture. (Not quite white: the documentation's
            # dark pages turn white into their own ground.)
            parts = list(segments[chosen])
            axes.add_collection(LineCollection(parts, color="#fefefe", linewidth=width + 1.4 * fine, alpha=0.8, zorder=3))
            lines = LineCollection(parts, cmap=PATH, norm=order, linewidth=width, linestyle=dash, zorder=4)
            lines.set_array(np.flatnonzero(chosen).astype(float))
            axes.add_collection(lines)
        axes.scatter(window[:, 0], window[:, 1], c=np.arange(len(window)), cmap=PATH, norm=order, s=10 * fine**2, zorder=4)
        if not placed.all():
            axes.scatter(
                window[~placed, 0],
                window[~placed, 1],
                marker="*",
                s=150 * fine,
                color="white",
                edgecolor=INK,
                linewidth=1.0,
                zorder=6,
            )
        for place, marker in ((0, "o"), (-1, "s")):
            axes.scatter(
                window[place, 0],
                window[place, 1],
                marker=marker,
                s=52 * fine,
                color="white",
                edgecolor=INK,
                linewidth=1.6 * fine,
                zorder=5,
            )


def draw_map(axes: Any, windows: Geometry, picture: np.ndarray, values: np.ndarray, norm: Any, label: str) -> None:
    """The picture, and over it a square for each token coloured by `values` (Hp, Wp), with a colour bar."""
    show_picture(axes, picture, windows)
    add_colorbar(axes.figure, show_marks(axes, windows, values, norm), axes, label)


def around_the_middle(values: np.ndarray) -> Normalize:
    """From least to largest, but a tenth apart at least: a map that is all but even shall look even."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    middle, half = (low + high) / 2, max((high - low) / 2, 0.05 * abs(low + high) / 2)
    return Normalize(middle - half, middle + half)


def draw_states(figure: Any, scan: ScanRecord, narrow: bool) -> None:
    """Heat map of all states with the path's colours below it, and the timescales beside it."""
    lines, timescale = states_by_timescale(scan)
    (count, tokens), line, L = lines.shape, scan.windows.line, scan.windows.L
    starts = np.concatenate([window * L + scan.windows.line_starts for window in range(scan.windows.count)])
    heat, side = figure.subplots(1, 2, width_ratios=(1, 0.22 if narrow else 0.16), sharey=True)
    image = heat.imshow(
        lines / np.maximum(np.abs(lines).max(axis=1, keepdims=True), np.finfo(lines.dtype).tiny),
        aspect="auto", cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest", extent=(-0.5, tokens - 0.5, count, 0),
    )  # fmt: skip
    bottom = 1.06 * count
    heat.imshow((np.arange(tokens) % L)[None], aspect="auto", cmap=PATH, extent=(-0.5, tokens - 0.5, bottom, 1.015 * count))
    heat.set_xlim(-0.5, tokens - 0.5)
    heat.set_ylim(bottom, 0)
    by_row = len(starts) <= (12 if narrow else 24)
    heat.set_xticks(starts[:: math.ceil(len(starts) / (8 if narrow else 16))])
    for start in starts[1:]:
        if start % L == 0 or by_row:
            heat.axvline(start - 0.5, color=INK, linewidth=1.4 if start % L == 0 else 0.4)
    what = f"{count} states, the fastest at the top"
    lines_at = f"line of {line} tokens" if by_row else f"window of {L} tokens"
    where = "scan position t" if narrow else f"scan position t; a line before each {lines_at}"
    where = where if by_row or scan.windows.count > 1 else "scan position t"
    set_labels(heat, "States along the scan", x=where, y=what)
    place = {"location": "bottom", "aspect": 40} if narrow else {"location": "right", "aspect": 30}
    bar = add_colorbar(figure, image, [heat, side], "state h, each line over its largest", **place)
    bar.set_ticks([-1.0, -0.5, 0.0, 0.5, 1.0])

    side.plot(timescale, np.arange(count) + 0.5, color=INK, linewidth=1.4)
    side.set_xscale("log")
    side.set_xlim(timescale[0] / 1.5, timescale[-1] * 1.5)
    decades = np.arange(math.floor(math.log10(timescale[0])), math.ceil(math.log10(timescale[-1])) + 1)
    decades = decades[:: max(1, len(decades) // 3)]
    side.set_xticks(10.0**decades, labels=[f"{10.0**decade:g}" for decade in decades])
    side.xaxis.set_minor_locator(NullLocator())
    side.grid(axis="x", color=FAINT, linewidth=0.8)
    side.tick_params(left=False, labelleft=False)
    set_labels(side, "" if narrow else "Timescale", x="τ in tokens")
