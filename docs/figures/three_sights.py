"""What token 5 of row 3 can see on a map of 8x8 tokens in one block of each kind, and how many steps of a scan away it is.

What can be seen is found by running the blocks: where the gradient of the token's output in an input is not 0.
"""

import numpy as np
from demo_model import first_of
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mvnp import Tape
from mvnp.core import Layer
from mvnp.layers.cross_scan import ROUTES, cross_scan
from mvnp.layers.window import window_partition, window_reverse
from mvnp.models.attention import MultiHeadAttention
from mvnp.models.mixer import MambaVisionMixer
from mvnp.models.ss2d import SS2D
from mvnp.models.vim_mixer import VimMixer
from mvnp.visualize import PathGeometry
from mvnp.visualize.arrays.picture import as_picture
from mvnp.visualize.figures.overlay import show_marks, show_picture, show_query
from mvnp.visualize.figures.style import add_colorbar, new_figure, set_title

SIDE, STRIDE, P, C = 8, 8, 4, 8
ROW, COLUMN = 3, 5
TOKENS = PathGeometry(SIDE, SIDE, STRIDE, tuple(range(SIDE * SIDE)), offset=(STRIDE - 1) / 2)


def seen(mixer: Layer, kind: str) -> np.ndarray:
    """bool (8, 8): the tokens on which the output of token (ROW, COLUMN) depends. `kind`: "windows", "tokens" or "map"."""
    x = np.random.default_rng(0).standard_normal((1, SIDE, SIDE, C)).astype("float32")
    tape = Tape(training=False)
    shaped = {"windows": lambda m: window_partition(m, P), "tokens": lambda m: m.reshape(1, SIDE * SIDE, C), "map": lambda m: m}
    back = {"windows": lambda d: window_reverse(d, P, SIDE, SIDE), "tokens": lambda d: d.reshape(x.shape), "map": lambda d: d}
    mixer.forward(shaped[kind](x), tape)
    dy = np.zeros_like(x)
    dy[0, ROW, COLUMN] = 1.0
    return (back[kind](mixer.backward(np.ascontiguousarray(shaped[kind](dy)), tape)) != 0).any(axis=(0, 3))


def steps(orders: np.ndarray, in_the_middle: int = 0) -> np.ndarray:
    """(8, 8): along the shortest of the paths, the steps from each token to (ROW, COLUMN); infinite where none comes by. In the
    middle of each path there may be class tokens, which are steps as well."""
    best = np.full((SIDE, SIDE), np.inf)
    for order in orders:
        at = np.argsort(order).reshape(SIDE, SIDE)
        at = at + in_the_middle * (at >= SIDE * SIDE // 2)
        away = at[ROW, COLUMN] - at
        best = np.where(away >= 0, np.minimum(best, away), best)
    return best


def panels() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each kind of block: what is seen, and how many steps away."""
    number = np.arange(float(SIDE * SIDE)).reshape(1, SIDE, SIDE, 1)
    routes = cross_scan(number, ROUTES)[:, 0, :, 0].astype(int)
    windows = window_partition(number, P)[..., 0].astype(int)
    inside = np.full((SIDE, SIDE), np.inf)
    inner = windows[1]  # the window of the token
    away = np.flatnonzero(inner == ROW * SIDE + COLUMN)[0] - np.arange(P * P)
    inside[inner // SIDE, inner % SIDE] = np.where(away >= 0, away, np.inf)
    return {
        "MambaVision, scan": (seen(MambaVisionMixer(C), "windows"), inside),
        "MambaVision, attention": (seen(MultiHeadAttention(C, 2), "windows"), np.zeros((SIDE, SIDE))),
        "Vim, there and back": (seen(VimMixer(C, 4), "tokens"), steps(np.stack([routes[0], routes[2]]), in_the_middle=1)),
        "VMamba, four routes": (seen(SS2D(C), "map"), steps(routes)),
    }


def draw() -> Figure:
    picture = as_picture(first_of("Sneaker"))
    figure = new_figure(4.4, 5.4, "What token 5 of row 3 sees in one block")
    axes = figure.subplots(2, 2).ravel()
    norm = LogNorm(1, 64)
    for each, (name, (seen_here, away)) in zip(axes, panels().items(), strict=True):
        show_picture(each, picture, TOKENS)
        # Beyond the scan a convolution of three lends its neighbour's input: a step. Attention needs none at all.
        values = np.where(seen_here, np.clip(np.where(np.isfinite(away), away, 1.0), 1, 64), np.nan)
        values[ROW, COLUMN] = np.nan
        marks = show_marks(each, TOKENS, values, norm)
        show_query(each, TOKENS, ROW, COLUMN)
        set_title(each, f"{name}\n{int(seen_here.sum())} of 64")
    bar = add_colorbar(
        figure, marks, list(axes), "steps of the nearest scan (attention: one for all)", location="bottom", aspect=50
    )
    bar.set_ticks([1, 2, 4, 8, 16, 32, 64], labels=["1", "2", "4", "8", "16", "32", "64"])
    bar.ax.xaxis.set_minor_locator(NullLocator())
    return figure
