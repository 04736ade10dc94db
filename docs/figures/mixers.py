"""A hybrid block; and Mamba's block beside MambaVision's mixer, which may stand in it."""

from diagram import arrow, box, column, join, sheet, words
from matplotlib.figure import Figure

from mvnp.visualize.figures.style import BLUE, GREEN, MUTED, ORANGE


def draw() -> Figure:
    figure, axes = sheet(6.8, 4.1)
    hybrid_block(axes, 1.0)
    two_branches(axes, 3.2, "Mamba's block", causal=True)
    two_branches(axes, 5.6, "MambaVision's mixer", causal=False)
    return figure


def hybrid_block(axes, x: float) -> None:
    words(axes, (x, 3.95), "A hybrid block", size=9.5)
    arrow(axes, (x, 0.05), (x, 0.6))
    column(axes, x, [(0.75, "LayerNorm", MUTED), (1.25, "mixer", ORANGE)])
    column(axes, x, [(2.2, "LayerNorm", MUTED), (2.7, "MLP", GREEN)])
    for start, low, high in ((0.3, 1.4, 1.7), (1.85, 2.85, 3.15)):
        arrow(axes, (x, start), (x - 0.75, start), (x - 0.75, high), (x - 0.11, high))
        arrow(axes, (x, low), (x, high - 0.11))
        join(axes, (x, high), "+")
    arrow(axes, (x, 1.81), (x, 2.05))
    arrow(axes, (x, 3.26), (x, 3.65))
    words(axes, (x + 0.14, 1.47), "scan or attention", MUTED, 7.5, "left")


def two_branches(axes, x: float, title: str, causal: bool) -> None:
    left, right = x - 0.55, x + 0.55
    words(axes, (x, 3.95), title, size=9.5)
    arrow(axes, (x, 0.05), (x, 0.35))
    box(axes, (x, 0.5), "linear", 1.9)
    arrow(axes, (left, 0.65), (left, 0.95))
    column(
        axes,
        left,
        [(1.1, "causal conv." if causal else "convolution", BLUE), (1.6, "SiLU", MUTED), (2.1, "scan", ORANGE)],
        0.98,
    )
    if causal:
        arrow(axes, (right, 0.65), (right, 1.45))
        box(axes, (right, 1.6), "SiLU", 0.98)
        arrow(axes, (right, 1.75), (right, 2.75), (x + 0.11, 2.75))
        arrow(axes, (left, 2.25), (left, 2.75), (x - 0.11, 2.75))
        join(axes, (x, 2.75), "×")
        arrow(axes, (x, 2.86), (x, 3.15))
    else:
        arrow(axes, (right, 0.65), (right, 0.95))
        column(axes, right, [(1.1, "convolution", BLUE), (1.6, "SiLU", MUTED)], 0.98)
        arrow(axes, (right, 1.75), (right, 2.6))
        arrow(axes, (left, 2.25), (left, 2.6))
        box(axes, (x, 2.75), "side by side", 1.9)
        arrow(axes, (x, 2.9), (x, 3.15))
    box(axes, (x, 3.3), "linear", 1.9)
    arrow(axes, (x, 3.45), (x, 3.75))
