"""The state of a mixer's scan, on the image and along the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ..backend import Array
from ..models.mambavision import MambaVision
from .geometry import WindowGeometry
from .internals import ScanRecord, choose_block, internals
from .overlay import as_picture, fineness, show_marks, show_picture
from .style import DIVERGING, FAINT, INK, NARROW, PATH, WIDE, add_colorbar, new_figure, set_labels, set_title


def scan_state(model: MambaVision, image: Array, *, block: str | None = None, narrow: bool = False) -> Figure:
    """What one mixer remembers while it scans an image (1, C, H, W).

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    narrow    laid out for a phone, the panels below one another

    How to read it. *Scan path*: the mixer reads the tokens of a window row by row, from the circle to the square; a new
    window starts with an empty memory. *State*: ‖h_t‖, the length of all states together after token t; where it jumps,
    something was written. *Step*: Δ_t, averaged over the channels; a token with a large step overwrites old states and
    writes itself in, one with a small step is passed over. *States along the scan*: each line is one state of one channel,
    red where it is positive, blue where it is negative, and darkest where it is largest. The lines are sorted by their
    timescale τ, the number of tokens after which a state has faded to 1/e: the upper ones forget first, and the longer τ,
    the longer the streaks. Hatched cells are padding, which the official model scans too; a model that
    masks it has no squares there.
    """
    seen = internals(model, image)
    scan = seen.scans[choose_block(seen.scans, block)]
    picture = as_picture(image)
    title = f"What the scan remembers:{chr(10) if narrow else ' '}{scan.path.removesuffix('.mixer')}"
    if narrow:
        figure = new_figure(NARROW, 13.0, title)
        *upper, below = _rows(figure, (1, 1, 1, 1.15))
        maps = [part.subplots() for part in upper]
    else:
        figure = new_figure(WIDE, 7.4, title)
        above, below = _rows(figure, (1, 1.2))
        maps = list(above.subplots(1, 3))
    _draw_path(maps[0], scan.windows, picture)
    norms, steps = (scan.windows.lay_out(values) for values in (state_norms(scan), mean_steps(scan)))
    _draw_map(maps[1], scan.windows, picture, norms, Normalize(0.0, float(np.nanmax(norms))), "‖h‖ over channels and states")
    _draw_map(maps[2], scan.windows, picture, steps, _around_the_middle(steps), "mean Δ over channels")
    for axes, name in zip(maps, ("Scan path", "State ‖h‖ after each token", "Step Δ of each token"), strict=True):
        set_title(axes, name)
    _draw_states(below, scan, narrow)
    return figure


def state_norms(scan: ScanRecord) -> np.ndarray:
    """‖h_t‖ over all channels and states, (nW, L); NaN where the token was passed over, as masked padding is."""
    return np.where(_scanned(scan), np.sqrt(np.square(scan.states).sum(axis=(2, 3))), np.nan)


def mean_steps(scan: ScanRecord) -> np.ndarray:
    """Δ_t, averaged over the channels, (nW, L); NaN where the token was passed over."""
    return np.where(_scanned(scan), scan.delta.mean(axis=-1), np.nan)


def states_by_timescale(scan: ScanRecord) -> tuple[np.ndarray, np.ndarray]:
    """States as lines, (D·N, nW·L), fastest first and windows one after the other; and the timescale of each line."""
    order = np.argsort(scan.timescale, axis=None, kind="stable")
    lines = scan.states.reshape(-1, scan.timescale.size).T
    return lines[order], scan.timescale.ravel()[order]


def scan_path(windows: WindowGeometry) -> np.ndarray:
    """Pixel (x, y) of every token in scan order, float (nW, P·P, 2)."""
    return windows.positions[..., ::-1] * float(windows.stride)


def _rows(figure: Figure, heights: tuple[float, ...]) -> list[Any]:
    parts: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
    return list(parts)


def _scanned(scan: ScanRecord) -> np.ndarray:
    """bool (nW, L): a masked token has Δ = 0 in every channel, and no other has."""
    return np.any(scan.delta, axis=-1)


def _draw_path(axes: Axes, windows: WindowGeometry, picture: np.ndarray) -> None:
    show_picture(axes, picture, windows)
    points = scan_path(windows)
    fine = fineness(windows)
    order = Normalize(0, points.shape[1] - 1)
    for window in points:
        segments = np.stack([window[:-1], window[1:]], axis=1)
        jumps = window[:-1, 1] != window[1:, 1]
        for chosen, width, dash in ((jumps, 1.0 * fine, (0, (3, 2))), (~jumps, 2.4 * fine, "solid")):
            if not chosen.any():
                continue
            # Light below, so that the dark beginning of the path shows on a dark picture.
            parts = list(segments[chosen])
            axes.add_collection(LineCollection(parts, color="white", linewidth=width + 1.4 * fine, alpha=0.8, zorder=3))
            lines = LineCollection(parts, cmap=PATH, norm=order, linewidth=width, linestyle=dash, zorder=4)
            lines.set_array(np.flatnonzero(chosen).astype(float))
            axes.add_collection(lines)
        axes.scatter(window[:, 0], window[:, 1], c=np.arange(len(window)), cmap=PATH, norm=order, s=10 * fine**2, zorder=4)
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


def _draw_map(axes: Any, windows: WindowGeometry, picture: np.ndarray, values: np.ndarray, norm: Any, label: str) -> None:
    show_picture(axes, picture, windows)
    add_colorbar(axes.figure, show_marks(axes, windows, values, norm), axes, label)


def _around_the_middle(values: np.ndarray) -> Normalize:
    """From least to largest, but a tenth apart at least: a map that is all but even shall look even."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    middle, half = (low + high) / 2, max((high - low) / 2, 0.05 * abs(low + high) / 2)
    return Normalize(middle - half, middle + half)


def _draw_states(figure: Any, scan: ScanRecord, narrow: bool) -> None:
    """Heat map of all states with the path's colours below it, and the timescales beside it."""
    lines, timescale = states_by_timescale(scan)
    (count, tokens), P, L = lines.shape, scan.windows.P, scan.windows.P**2
    heat, side = figure.subplots(1, 2, width_ratios=(1, 0.22 if narrow else 0.16), sharey=True)
    image = heat.imshow(
        lines / np.maximum(np.abs(lines).max(axis=1, keepdims=True), np.finfo(lines.dtype).tiny),
        aspect="auto", cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest", extent=(-0.5, tokens - 0.5, count, 0),
    )  # fmt: skip
    bottom = 1.06 * count
    heat.imshow((np.arange(tokens) % L)[None], aspect="auto", cmap=PATH, extent=(-0.5, tokens - 0.5, bottom, 1.015 * count))
    heat.set_xlim(-0.5, tokens - 0.5)
    heat.set_ylim(bottom, 0)
    rows = tokens // P
    by_row = rows <= (12 if narrow else 24)
    heat.set_xticks(np.arange(0, tokens, P * math.ceil(rows / (8 if narrow else 16))))
    for start in range(P, tokens, P):
        if start % L == 0 or by_row:
            heat.axvline(start - 0.5, color=INK, linewidth=1.4 if start % L == 0 else 0.4)
    what = f"{count} states, the fastest at the top"
    lines_at = f"row of {P} tokens" if by_row else f"window of {L} tokens"
    where = "scan position t" if narrow else f"scan position t; a line before each {lines_at}"
    set_labels(heat, "States along the scan", x=where, y=what)
    place = {"location": "bottom", "aspect": 40} if narrow else {"location": "right", "aspect": 30}
    bar = add_colorbar(figure, image, [heat, side], "state h, each line over its largest", **place)
    bar.set_ticks([-1.0, -0.5, 0.0, 0.5, 1.0])

    side.plot(timescale, np.arange(count) + 0.5, color=INK, linewidth=1.4)
    side.set_xscale("log")
    side.set_xlim(timescale[0] / 1.5, timescale[-1] * 1.5)
    decades = np.arange(math.floor(math.log10(timescale[0])), math.ceil(math.log10(timescale[-1])) + 1)
    side.set_xticks(10.0**decades, labels=[f"{10.0**decade:g}" for decade in decades])
    side.xaxis.set_minor_locator(NullLocator())
    side.grid(axis="x", color=FAINT, linewidth=0.8)
    side.tick_params(left=False, labelleft=False)
    set_labels(side, "" if narrow else "Timescale", x="τ in tokens")
