"""Figures of the attention inside a scan: its matrix, what a query token takes and gives, and groups of channels."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ...backend import Array
from ...errors import refusing
from ...models.classifier import Classifier
from ..arrays.hidden_attention import channel_groups, mean_hidden_attention, seen
from ..arrays.internals import record_scans
from ..arrays.picture import as_picture
from ..arrays.records import ScanRecord
from ..arrays.token_to_token import row_normalised
from .matrix_panels import add_scale, amounts, mark_row, show_matrix, signs
from .overlay import show_marks, show_picture, show_query
from .panels import image_panels, title_of
from .style import DIVERGING, NARROW, SEQUENTIAL, WIDE, add_colorbar, new_figure, set_labels, set_title

Query = tuple[int, int] | None
PACE = {1: ("all",), 2: ("fast half", "slow half"), 3: ("fast third", "middle", "slow third")}
PACE[4] = ("fastest quarter", "second", "third", "slowest quarter")


@refusing
def hidden_attention_matrix(
    model: Classifier,
    image: Array,
    *,
    block: str | None = None,
    query: Query = None,
    route: str | None = None,
    narrow: bool = False,
) -> Figure:
    """What every token of a window of an image (1, C, H, W) takes from every other in one mixer's scan.

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    query     row and column of a token on the map, whose window is shown and whose row has arrows; None: the middle one
    route     one of its scans alone, where there are several: 'back', 'column by column'; None: the sum of all
    narrow    laid out for a phone, the panels below one another

    How to read it. Row t is what token t takes, column s what token s gives; nothing is taken from later tokens (grey),
    unless another scan of the mixer reads them first. Ticks stand at the first token of each line. *Size*: |α| averaged over
    the channels, on a logarithmic scale. The diagonal is a token's own share; a band along it is a short memory, and the
    faster it fades the shorter; bright columns are tokens that wrote much. *Sign*: α averaged over the channels, red where
    they add, blue where they take away; where it is pale and the size is not, channels disagree. Its scale is logarithmic too
    but for the middle.
    """
    scan = record_scans(model, image, block, route)
    tokens, takes = scan[0].tokens, seen(scan)
    row, column = query or tokens.middle
    window, token = tokens.find(row, column)
    size, sign = (mean_hidden_attention(scan, signed=signed)[window] for signed in (False, True))
    title = _title("Hidden attention of the scan", scan, narrow)
    figure = new_figure(*((NARROW, 7.4) if narrow else (WIDE, 4.5)), title)
    panels = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    shown = (
        ("Size", size, SEQUENTIAL, amounts(size.max()), "mean |α| over channels"),
        ("Sign", sign, DIVERGING, signs(np.abs(sign).max()), "mean α over channels"),
    )
    for axes, (name, values, cmap, norm, label) in zip(panels, shown, strict=True):
        drawn = show_matrix(axes, np.where(takes, values, np.nan), tokens, cmap, norm)
        set_labels(axes, f"{name}; arrows: row {row}, column {column}", x="token s gives", y="token t takes")
        mark_row(axes, token)
        add_scale(figure, drawn, axes, label)
    return figure


@refusing
def hidden_attention_map(
    model: Classifier,
    image: Array,
    *,
    block: str | None = None,
    query: Query = None,
    route: str | None = None,
    narrow: bool = False,
) -> Figure:
    """What one token of an image (1, C, H, W) takes from those before it in a mixer's scan, and gives to those after it.

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    query     row and column of the token on its map; None: the middle one
    route     one of its scans alone, where there are several: 'back', 'column by column'; None: the sum of all
    narrow    laid out for a phone

    How to read it. The frame is the query t. *Takes*: the larger and lighter a square on token s, the larger |α_ts|, averaged
    over channels; only tokens that a scan of the mixer reads before t can have one. *Gives*: the same of the tokens that are
    read later, as far as they still remember the query, on the same scale. *Takes, with its sign*: α averaged over channels,
    red adds and blue takes away; where it is pale and the size is not, channels disagree. What the query takes from itself is
    mostly far more than all the rest, and is written above in place of a square, and so is what it takes from a class token.
    Nothing leaves the query's window.
    """
    scan, picture = record_scans(model, image, block, route), as_picture(image)
    windows = scan[0].tokens
    row, column = query or windows.middle
    window, token = windows.find(row, column)
    size, sign = (mean_hidden_attention(scan, signed=signed)[window] for signed in (False, True))
    itself, can_take = np.arange(windows.L) == token, seen(scan)
    takes = np.where(can_take[token] & ~itself, size[token], np.nan)
    signed = np.where(can_take[token] & ~itself, sign[token], np.nan)
    gives = np.where(can_take[:, token] & ~itself, size[:, token], np.nan)
    of_class = "".join(f"\nclass token {size[token, place]:.2g}" for place in np.flatnonzero(~windows.on_map[window]))
    figure, panels = image_panels(
        _title("Hidden attention of one token", scan, narrow),
        4,
        picture,
        windows,
        narrow,
        lines=2 + len(of_class.splitlines()[1:]),
        below=1.3 if narrow else 0.7,
    )
    names = (
        f"Query in row {row},\ncolumn {column}",
        f"Takes\nitself {size[token, token]:.2g}{of_class}",
        "Gives",
        f"Takes, with its sign\nitself {sign[token, token]:.2g}",
    )
    most, reach = (_largest(takes, gives), _largest(np.abs(signed)))
    amount, around = Normalize(0.0, most), Normalize(-reach, reach)
    shown = ((takes, amount, SEQUENTIAL), (gives, amount, SEQUENTIAL), (signed, around, DIVERGING))
    marks = []
    for axes, name in zip(panels, names, strict=True):
        show_picture(axes, picture, windows)
        show_query(axes, windows, row, column)
        set_title(axes, name)
    for axes, (values, norm, cmap) in zip(panels[1:], shown, strict=True):
        marks.append(show_marks(axes, windows, windows.spread(window, values), norm, area=True, cmap=cmap))
    # One bar beside the other where all panels stand in a row, one below the other where they do not.
    place = panels[-1].get_subplotspec()
    in_row = place is not None and place.rowspan.start == 0
    left, right = (panels[:3], panels[3:]) if in_row else (panels, panels)
    bar = add_colorbar(figure, marks[0], left, "mean |α| over channels", location="bottom", aspect=40)
    bar.set_ticks([0.0, most], labels=["0", f"{most:.1g}"])
    bar = add_colorbar(figure, marks[2], right, "mean α", location="bottom", aspect=13 if in_row else 40)
    bar.set_ticks([-reach, 0.0, reach], labels=[f"−{reach:.1g}", "0", f"{reach:.1g}"])
    return figure


@refusing
def hidden_attention_groups(
    model: Classifier,
    image: Array,
    *,
    block: str | None = None,
    query: Query = None,
    groups: int = 4,
    route: str | None = None,
    narrow: bool = False,
) -> Figure:
    """What one token of an image (1, C, H, W) takes in each group of a scan's channels, from the fastest to the slowest.

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    query     row and column of the token on its map; None: the middle one
    groups    how many; channels are shared out by the timescale of their states
    route     one of its scans alone, where there are several: 'back', 'column by column'; None: the sum of all
    narrow    laid out for a phone

    How to read it. Each panel is the row of the query in |α|, averaged over the channels of one group and brought to a sum of
    1, all on one scale: so a panel shows how far back its channels look. What the query has of itself is written above and
    has no square. Fast channels hold the last few tokens; slow ones reach back over the window.
    """
    scan, picture = record_scans(model, image, block, route), as_picture(image)
    windows = scan[0].tokens
    row, column = query or windows.middle
    window, token = windows.find(row, column)
    parts = channel_groups(scan, groups)
    rows = np.stack([mean_hidden_attention(scan, channels=part)[window, token] for part in parts])
    shares = row_normalised(rows)
    earlier = np.where(seen(scan)[token] & (np.arange(rows.shape[1]) != token), shares, np.nan)
    norm = Normalize(0.0, _largest(earlier))
    names = PACE.get(len(parts), tuple(f"group {number + 1}" for number in range(len(parts))))
    figure, panels = image_panels(
        _title("Hidden attention by pace", scan, narrow),
        len(parts),
        picture,
        windows,
        narrow,
        lines=2,
        below=0.7,
    )
    for axes, name, values, itself in zip(panels, names, earlier, shares[:, token], strict=True):
        show_picture(axes, picture, windows)
        marks = show_marks(axes, windows, windows.spread(window, values), norm, area=True)
        show_query(axes, windows, row, column)
        set_title(axes, f"{name}\nitself {itself:.0%}")
    add_colorbar(figure, marks, panels, "share of the row", location="bottom", aspect=50)
    return figure


def _title(what: str, scans: tuple[ScanRecord, ...], narrow: bool) -> str:
    """Of one scan its own name, of several that they are summed."""
    title = title_of(what, scans[0], narrow)
    return title if len(scans) == 1 else title.removesuffix(scans[0].route) + f"sum of {len(scans)} scans"


def _largest(*maps: np.ndarray) -> float:
    """The largest number in maps that may be NaN throughout; 1 where there is none above 0."""
    return max(float(values[np.isfinite(values)].max(initial=0.0)) for values in maps) or 1.0
