"""The state of a mixer's scan, on the image and along the way: one figure of all, and each part of it alone."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ...backend import Array
from ...errors import refusing
from ...models.classifier import Classifier
from ..arrays.internals import record_scan
from ..arrays.picture import as_picture
from ..arrays.scan_state import mean_steps, state_norms
from .panels import image_panels, rows_of, title_of
from .scan_panels import around_the_middle, draw_map, draw_path, draw_states
from .style import NARROW, WIDE, new_figure, set_title


@refusing
def scan_state(
    model: Classifier, image: Array, *, block: str | None = None, route: str | None = None, narrow: bool = False
) -> Figure:
    """What one mixer remembers while it scans an image (1, C, H, W).

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    route     which of its scans, where there are several: 'back', 'column by column'; None: the first
    narrow    laid out for a phone, the panels below one another

    How to read it. *Scan path*: the mixer reads the tokens of a window, or of the whole map, from the circle to the square, a
    class token at the star; a new window starts with an empty memory. *State*: ‖h_t‖, the length of all states together after
    token t; where it jumps, something was written. *Step*: Δ_t, averaged over the channels; a token with a large step
    overwrites old states and writes itself in, one with a small step is passed over. *States along the scan*: each line is
    one state of one channel, red where it is positive, blue where it is negative, and darkest where it is largest. The lines
    are sorted by their timescale τ, the number of tokens after which a state has faded to 1/e: the upper ones forget first,
    and the longer τ, the longer the streaks. Hatched cells are padding, which the official model scans too; a model that
    masks it has no squares there.
    """
    scan, picture = record_scan(model, image, block, route), as_picture(image)
    title = title_of("What the scan remembers", scan, narrow)
    if narrow:
        figure = new_figure(NARROW, 13.0, title)
        *upper, below = rows_of(figure, (1, 1, 1, 1.15))
        maps = [part.subplots() for part in upper]
    else:
        figure = new_figure(WIDE, 7.4, title)
        above, below = rows_of(figure, (1, 1.2))
        maps = list(above.subplots(1, 3))
    draw_path(maps[0], scan.windows, picture)
    norms, steps = (scan.windows.lay_out(values) for values in (state_norms(scan), mean_steps(scan)))
    draw_map(maps[1], scan.windows, picture, norms, Normalize(0.0, float(np.nanmax(norms))), "‖h‖ over channels and states")
    draw_map(maps[2], scan.windows, picture, steps, around_the_middle(steps), "mean Δ over channels")
    for axes, name in zip(maps, ("Scan path", "State ‖h‖ after each token", "Step Δ of each token"), strict=True):
        set_title(axes, name)
    draw_states(below, scan, narrow)
    return figure


@refusing
def scan_path(
    model: Classifier, image: Array, *, block: str | None = None, route: str | None = None, narrow: bool = False
) -> Figure:
    """The way that one mixer's scan takes over an image (1, C, H, W).

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    route     which of its scans, where there are several: 'back', 'column by column'; None: the first
    narrow    laid out for a phone

    How to read it. Each window, or the whole map where there are none, is read from the circle to the square, and begins with
    an empty memory; colours go from dark at its first token to light at its last. Broken lines are the jumps to the next
    line: two tokens above one another are neighbours on the image, and a line's length apart for a scan that goes by rows. A
    star is a class token, which has no place of its own. Hatched cells are padding.
    """
    scan, picture = record_scan(model, image, block, route), as_picture(image)
    figure, (panel,) = image_panels(title_of("Scan path", scan, narrow), 1, picture, scan.windows, narrow, lines=0)
    draw_path(panel, scan.windows, picture)
    return figure


@refusing
def state_map(
    model: Classifier, image: Array, *, block: str | None = None, route: str | None = None, narrow: bool = False
) -> Figure:
    """How much one mixer's scan remembers after each token of an image (1, C, H, W).

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    route     which of its scans, where there are several: 'back', 'column by column'; None: the first
    narrow    laid out for a phone

    How to read it. The colour of a square is ‖h_t‖, the length of all states of all channels together after token t. Read
    along the scan path: where it jumps, something was written; where it falls, the past was let go. Every window begins with
    nothing.
    """
    scan, picture = record_scan(model, image, block, route), as_picture(image)
    norms = scan.windows.lay_out(state_norms(scan))
    figure, (panel,) = image_panels(
        title_of("State after each token", scan, narrow), 1, picture, scan.windows, narrow, lines=0, beside=0.8
    )
    draw_map(panel, scan.windows, picture, norms, Normalize(0.0, float(np.nanmax(norms))), "‖h‖")
    return figure


@refusing
def step_map(
    model: Classifier, image: Array, *, block: str | None = None, route: str | None = None, narrow: bool = False
) -> Figure:
    """Where one mixer's scan writes, on an image (1, C, H, W).

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    route     which of its scans, where there are several: 'back', 'column by column'; None: the first
    narrow    laid out for a phone

    How to read it. The colour of a square is the step Δ_t, averaged over the channels. A token with a large step fades old
    states and writes itself in; one with a small step is passed over. The scale spans the values that occur, but a tenth at
    least, so that a map that is all but even looks even.
    """
    scan, picture = record_scan(model, image, block, route), as_picture(image)
    steps = scan.windows.lay_out(mean_steps(scan))
    figure, (panel,) = image_panels(
        title_of("Step Δ of each token", scan, narrow), 1, picture, scan.windows, narrow, lines=0, beside=0.8
    )
    draw_map(panel, scan.windows, picture, steps, around_the_middle(steps), "mean Δ")
    return figure


@refusing
def state_heat_map(
    model: Classifier, image: Array, *, block: str | None = None, route: str | None = None, narrow: bool = False
) -> Figure:
    """All states of one mixer's scan over an image (1, C, H, W), along the way.

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    route     which of its scans, where there are several: 'back', 'column by column'; None: the first
    narrow    laid out for a phone

    How to read it. Each line is one state of one channel, red where it is positive, blue where it is negative, and darkest
    where it is largest. Lines are sorted by their timescale τ, drawn at the side: the upper ones forget first, and the longer
    τ, the longer the streaks. Thick upright lines part windows, which all begin with nothing; the strip below has the scan
    path's colours.
    """
    scan = record_scan(model, image, block, route)
    as_picture(image)  # raises for an image with nothing to see
    figure = new_figure(NARROW if narrow else WIDE, 4.4, title_of("Every state of the scan", scan, narrow))
    draw_states(figure, scan, narrow)
    return figure
