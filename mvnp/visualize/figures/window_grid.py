"""How the maps of the hybrid levels are cut into windows."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...backend import Array
from ...errors import InputError, check_choice, refusing
from ...models.classifier import Classifier
from ..arrays.geometry import WindowGeometry
from ..arrays.internals import internals
from ..arrays.picture import as_picture
from .overlay import fineness, show_picture, show_query
from .panels import image_panels
from .style import INK, ORANGE, set_title


@refusing
def window_grid(
    model: Classifier,
    image: Array,
    *,
    block: str | None = None,
    query: tuple[int, int] | None = None,
    narrow: bool = False,
) -> Figure:
    """The windows over an image (1, C, H, W) in every hybrid level, before and after the map is halved.

    block     path of a block, such as 'levels.2.blocks.0': its level alone; None: all hybrid levels
    query     row and column of a token on the map of the first level shown; None: the middle one
    narrow    laid out for a phone, the panels below one another

    How to read it. Fine lines part tokens, strong ones windows; no token of a level sees beyond its window, and numbers are
    those of windows in the order in which they are stored. Hatched cells are padding: the map is filled up at the right and
    below until windows divide it, and the more of it, the less a window at the border has to work with. The frame is the
    query, and the window with the coloured border its window. In the next level the map is half as high and wide, and a token
    is four of those before: what lay in different windows can meet.

    Raises InputError for a block that is in no level with windows, and for a query that is not on the map.
    """
    picture = as_picture(image)
    found = internals(model, image, []).windows
    geometries = {level: windows for level, windows in found.items() if isinstance(windows, WindowGeometry)}
    if not geometries:
        raise InputError(
            "this model has no levels with windows: its scans go over the whole map; scan_path draws them"
            if found
            else "this model has no levels with windows"
        )
    if block is not None:
        level = ".".join(block.split(".")[:2])
        check_choice("level", level, geometries)
        geometries = {level: geometries[level]}
    title = "Windows of the hybrid levels" if len(geometries) > 1 else "Windows of the level"
    figure, panels = image_panels(
        title, len(geometries), picture, next(iter(geometries.values())), narrow, columns=1 if narrow else 2, lines=3
    )
    place = query or next(iter(geometries.values())).middle
    for axes, (level, windows) in zip(panels, geometries.items(), strict=True):
        show_picture(axes, picture, windows)
        _show_cells(axes, windows)
        window, _ = windows.find(*place)
        _show_numbers(axes, windows, window)
        show_query(axes, windows, *place)
        set_title(axes, f"{level}: {describe(windows)}")
        place = place[0] // 2, place[1] // 2
    return figure


def describe(windows: WindowGeometry) -> str:
    """The windows of a level in words, with the share of padding among all tokens."""
    padding = 1 - windows.real.mean()
    count = "one window" if windows.count == 1 else f"{windows.count} windows"
    return (
        f"{windows.H}x{windows.W} tokens\n{count} of {windows.P}x{windows.P}\n"
        f"{'no padding' if windows.real.all() else f'{padding:.0%} padding'}"
    )


def _show_cells(axes: Axes, windows: WindowGeometry) -> None:
    left, right, bottom, top = windows.extent
    fine = fineness(windows)
    for row in range(1, windows.padded[0]):
        axes.plot([left, right], 2 * [top + row * windows.stride], color="white", linewidth=0.7 * fine, alpha=0.8, zorder=1.5)
    for column in range(1, windows.padded[1]):
        axes.plot(
            2 * [left + column * windows.stride], [top, bottom], color="white", linewidth=0.7 * fine, alpha=0.8, zorder=1.5
        )


def _show_numbers(axes: Axes, windows: WindowGeometry, chosen: int) -> None:
    left, _, _, top = windows.extent
    side = windows.P * windows.stride
    for window in range(windows.count):
        row, column = divmod(window, windows.grid[1])
        corner = left + column * side, top + row * side
        axes.text(
            corner[0] + 0.06 * side, corner[1] + 0.06 * side, str(window), va="top", fontsize=9, color=INK, zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
        )  # fmt: skip
        if window == chosen:
            axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=ORANGE, linewidth=2.6, zorder=3.5))
