"""The state of a scan as it goes over the image, as an animated GIF."""

from __future__ import annotations

import io
import os

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from PIL import Image

from ...atomic import write_bytes
from ...backend import Array
from ...errors import InputError, refusing
from ...models.classifier import Classifier
from ..arrays.geometry import WindowGeometry
from ..arrays.internals import record_scan
from ..arrays.picture import as_picture
from ..arrays.records import ScanRecord
from ..arrays.scan_state import path_points, state_norms
from ..arrays.state_animation import shown_tokens, state_frames
from .overlay import fineness, show_marks, show_picture
from .panels import title_of
from .style import DIVERGING, INK, NARROW, WIDE, add_colorbar, new_figure, set_labels, set_title

DPI = 100
SECONDS = 9.0  # of the whole, at least; short scans have slower frames
HOLD = 1500  # milliseconds that the last frame stays


@refusing
def state_animation(
    model: Classifier,
    image: Array,
    *,
    block: str | None = None,
    query: tuple[int, int] | None = None,
    route: str | None = None,
    narrow: bool = False,
    out: str | os.PathLike[str] | None = None,
) -> bytes:
    """A GIF of one mixer's scan over an image (1, C, H, W): its bytes, also written to `out`, whole or not at all.

    block     path of the mixer's block, such as 'levels.2.blocks.0'; None: the first
    query     row and column of a token on the map, whose window's states are shown; None: the middle one
    route     which of its scans, where there are several; None: the first
    narrow    laid out for a phone, the panels below one another

    How to read it. All windows are read at once, each with a memory of its own. *On the image*: each token gets its square
    when it is read, coloured by ‖h‖ after it; the frames are the tokens just read. *In the memory* of the window with the
    strong border: all states h, channels against the N states of each, both sorted from fast to slow, red where positive and
    blue where negative. The fast ones flicker with every token; in the slow ones the image's past stays.

    A window of many tokens has a frame for every second or third token. Raises OSError that names `out` where it cannot be
    written.
    """
    scan, picture = record_scan(model, image, block, route), as_picture(image)
    row, column = query or scan.windows.middle
    window, _ = scan.windows.find(row, column)
    frames = [Image.fromarray(frame) for frame in _drawn(scan, picture, window, narrow)]
    data = as_gif(frames, milliseconds=int(np.clip(1000 * SECONDS / len(frames), 60, 500)))
    if out is not None:
        write_bytes(out, data)
    return data


def as_gif(frames: list[Image.Image], milliseconds: int) -> bytes:
    """An endless GIF. All frames share the colours of the last and the middle one: otherwise still parts would flicker.

    Raises InputError for no frames.
    """
    if not frames:
        raise InputError("as_gif: no frames, expected at least one")
    width, height = frames[0].size
    both = Image.new("RGB", (width, 2 * height))
    for place, frame in enumerate((frames[len(frames) // 2], frames[-1])):
        both.paste(frame, (0, place * height))
    palette = both.quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    buffer = io.BytesIO()
    durations = [milliseconds] * (len(frames) - 1) + [max(HOLD, milliseconds)]
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=False)
    return buffer.getvalue()


def _drawn(scan: ScanRecord, picture: np.ndarray, window: int, narrow: bool) -> list[np.ndarray]:
    """Each frame, uint8 (height, width, 3). What stays is drawn once; only squares, frames and states are drawn again."""
    windows = scan.windows
    norms, points, states = state_norms(scan), path_points(windows), state_frames(scan, window)
    title = title_of("The state, token by token", scan, narrow)
    figure = new_figure(*((NARROW, 6.6) if narrow else (0.8 * WIDE, 4.2)), title)
    left, right = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    show_picture(left, picture, windows)
    set_title(left, "On the image")
    norm = Normalize(0.0, float(np.nanmax(norms)))
    marks = show_marks(left, windows, np.zeros(windows.padded), norm)
    add_colorbar(figure, marks, left, "‖h‖ after the token")
    if isinstance(windows, WindowGeometry):
        side = windows.P * windows.stride
        corner = points[window, 0] - windows.stride / 2
        left.add_patch(Rectangle(tuple(corner), side, side, fill=False, edgecolor=INK, linewidth=2.6, zorder=3))
    reach = float(np.quantile(np.abs(states), 0.995)) or 1.0
    memory = right.imshow(
        np.zeros(states.shape[1:]).T, cmap=DIVERGING, norm=Normalize(-reach, reach), aspect="auto", interpolation="nearest"
    )
    N = states.shape[2]
    right.set_yticks([0, N - 1] if N > 1 else [0], labels=["fast", "slow"] if N > 1 else ["one"])
    set_labels(
        right,
        f"In the memory of window {window}" if windows.count > 1 else "In the memory",
        x=f"{states.shape[1]} channels, fast to slow",
        y="states",
    )
    add_colorbar(figure, memory, right, "h")
    heads = [Rectangle((0, 0), windows.stride, windows.stride, fill=False, edgecolor=INK, linewidth=2.2) for _ in points]
    for head in heads:
        left.add_patch(head)

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    moving = [marks, memory, *heads]
    for artist in moving:
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    # Of each token among the squares, which go row by row over the map; class tokens have none.
    places = np.where(windows.on_map, windows.positions @ (windows.padded[1], 1), -1)
    frames, edge, squares = [], 0.7 * fineness(windows), int(np.prod(windows.padded))
    for state, token in zip(states, shown_tokens(norms.shape[1]), strict=True):
        canvas.restore_region(still)
        values = np.full(squares + 1, np.nan)  # the last for class tokens
        values[places[:, : token + 1]] = norms[:, : token + 1]
        values = values[:-1]
        marks.set_array(values)
        marks.set_linewidth(np.where(np.isfinite(values), edge, 0.0))
        memory.set_data(state.T)
        for head, point in zip(heads, points[:, token], strict=True):
            head.set_xy(point - windows.stride / 2)
        left.draw_artist(marks)
        for head in heads:
            left.draw_artist(head)
        right.draw_artist(memory)
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return frames
