"""Scan and attention in one view: a level's blocks as token-to-token matrices, and their rollout."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ...backend import Array
from ...errors import check_choice, refusing
from ...models.classifier import Classifier
from ..arrays.geometry import Geometry
from ..arrays.internals import block_of, choose_block, internals, mixing_paths, numbers_of
from ..arrays.picture import as_picture
from ..arrays.records import Internals
from ..arrays.token_to_token import block_diagonal, blocks_of_level, level_matrices, others, reachable, rollout, row_normalised
from .matrix_panels import add_scale, amounts, mark_row, show_matrix, signs
from .overlay import show_marks, show_picture, show_query
from .panels import columns_of, image_panels
from .style import DIVERGING, NARROW, SEQUENTIAL, WIDE, add_colorbar, new_figure, set_labels, set_title


@refusing
def token_to_token(
    model: Classifier,
    image: Array,
    *,
    block: str | None = None,
    query: tuple[int, int] | None = None,
    signed: bool = False,
    narrow: bool = False,
) -> Figure:
    """What every token of an image (1, C, H, W) takes from every other, in each block of a level, scan and attention alike.

    block     path of a block, whose level is shown; None: the first level with windows
    query     row and column of a token on the map, whose row has arrows; None: the middle one
    signed    α with its sign in scan blocks, not brought to a sum of 1
    narrow    laid out for a phone

    How to read it. Rows take, columns give, and tokens stand in the order of the scan, window after window: squares along the
    diagonal are windows, and between them (grey) nothing can pass. A scan's matrix is |α|, averaged over channels, and takes
    nothing from later tokens; several scans of a block are summed, and attention's is the mean of its heads and looks both
    ways. Rows are brought to a sum of 1, and the scale is logarithmic. The last panel is the rollout: which tokens, as they
    came into the level, are in each token after its last block, if mixing and the residual connections were all. There the
    diagonal is always strong; what stands out besides was passed on from block to block.
    """
    seen, level, windows = _level(model, image, block)
    matrices = level_matrices(seen, level, signed=signed)
    rolled = rollout(level_matrices(seen, level).values())[-1]
    row, column = query or windows.middle
    window, token = windows.find(row, column)
    shown = {_name(seen, path): M if signed else row_normalised(M) for path, M in matrices.items()}
    can_take = [reachable(record) for record in blocks_of_level(seen, level).values()]
    shown[f"Rollout of {len(matrices)} block{'s' * (len(matrices) > 1)}"] = rolled

    columns = 2 if narrow else columns_of(len(shown))
    rows = math.ceil(len(shown) / columns)
    width = NARROW if narrow else WIDE
    title = f"What tokens take from one another:{chr(10) if narrow else ' '}{level}"
    figure = new_figure(width, (1.2 if narrow else 1.0) + rows * (width / columns + (0.5 if signed else 0.15)), title)
    panels = list(figure.subplots(rows, columns, squeeze=False).ravel())
    can_take.append(np.ones_like(can_take[0]))
    most = max(float(M.max()) for M in shown.values())
    for axes, (name, M), takes in zip(panels, shown.items(), can_take, strict=False):
        two_sided = M.min() < 0
        norm = signs(np.abs(M).max()) if two_sided else amounts(M.max() if signed else most)
        inside = block_diagonal(np.repeat(takes[None], windows.count, axis=0))
        values = np.where(inside, block_diagonal(M), np.nan)
        drawn = show_matrix(axes, values, windows, DIVERGING if two_sided else SEQUENTIAL, norm)
        set_labels(axes, name)
        mark_row(axes, window * windows.L + token)
        axes.tick_params(labelbottom=False, labelleft=False)
        if signed:
            add_scale(figure, drawn, axes, "", few=True, location="bottom")
    set_labels(panels[0], next(iter(shown)), x="gives", y="takes")
    for axes in panels[len(shown) :]:
        figure.delaxes(axes)
    if not signed:
        add_scale(figure, drawn, panels[: len(shown)], "share of the row", few=narrow, location="bottom", aspect=50)
    return figure


@refusing
def attention_rollout(
    model: Classifier,
    image: Array,
    *,
    block: str | None = None,
    query: tuple[int, int] | None = None,
    narrow: bool = False,
) -> Figure:
    """What has come together in one token of an image (1, C, H, W), block after block of a level.

    block     path of the block after which to stop; None: the last of the first level with windows
    query     row and column of the token on its map; None: the middle one
    narrow    laid out for a phone

    How to read it. Each panel is one block further: the larger and lighter a square, the more of that token, as it came into
    the level, is in the query (framed), if mixing and the residual connections were all. The residual keeps at least half of
    the query itself in each block, so its own share is written above and has no square: the scale is for the others. *All
    queries* is the mean over the window's tokens: what the whole window took note of. Shares add up to 1, and nothing comes
    from another window.
    """
    seen, level, windows = _level(model, image, block)
    picture = as_picture(image)
    paths = list(level_matrices(seen, level))
    stop = paths[-1] if block is None else choose_block(paths, block)
    paths = paths[: paths.index(stop) + 1]
    row, column = query or windows.middle
    window, token = windows.find(row, column)
    rolled = rollout(level_matrices(seen, level)[path] for path in paths)[:, window]
    shares, own = others(rolled[:, token], token), rolled[:, token, token]
    everyone = np.nanmean(np.where(windows.real[window][:, None], rolled[-1], np.nan), axis=0)

    title = f"Rollout, block by block: {level}"
    figure, panels = image_panels(
        title.replace(": ", ":\n") if narrow else title, len(paths) + 1, picture, windows, narrow, lines=2, below=0.7
    )
    norm = Normalize(0.0, float(max(np.nanmax(shares), everyone.max())) if shares.shape[1] > 1 else 1.0)
    for axes, path, values, itself in zip(panels, paths, shares, own, strict=False):
        show_picture(axes, picture, windows)
        marks = show_marks(axes, windows, windows.spread(window, values), norm, area=True)
        show_query(axes, windows, row, column)
        set_title(axes, f"{_name(seen, path)}\nitself {itself:.0%}")
    show_picture(panels[-1], picture, windows)
    show_marks(panels[-1], windows, windows.spread(window, everyone), norm, area=True)
    set_title(panels[-1], "All queries\nafter the last")
    add_colorbar(figure, marks, panels, "share in the query", location="bottom", aspect=50)
    return figure


def _level(model: Classifier, image: Array, block: str | None) -> tuple[Internals, str, Geometry]:
    """The records of one level alone: that of `block`, or the first with windows."""
    geometries = internals(model, image, []).windows
    if block is None:
        level = next(iter(geometries), "none")
    else:
        level = next((level for level in geometries if block.startswith(f"{level}.")), ".".join(block.split(".")[:2]))
    check_choice("level", level, geometries)
    blocks = [path for path in mixing_paths(model) if path.startswith(f"{level}.")]
    return internals(model, image, blocks), level, geometries[level]


def _name(seen: Internals, path: str) -> str:
    number, scans = numbers_of(block_of(path))[-1], len(seen.routes.get(path, ()))
    return f"{number}: " + ("attention" if not scans else "scan" if scans == 1 else f"{scans} scans")
