"""The mixers of four papers side by side, as block diagrams."""

import itertools

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from mvnp.visualize.figures.style import BLUE, GREEN, INK, MUTED, ORANGE, new_figure, set_title

HEIGHT, LEFT, MIDDLE, RIGHT = 0.072, 0.25, 0.5, 0.76


def box(axes: Axes, x: float, y: float, text: str, colour: str = MUTED, width: float = 0.47) -> None:
    corner = x - width / 2, y - HEIGHT / 2
    shape = FancyBboxPatch(corner, width, HEIGHT, boxstyle="round,pad=0,rounding_size=0.02", fill=False, edgecolor=colour)
    axes.add_patch(shape)
    axes.text(x, y, text, ha="center", va="center", fontsize=8, color=INK)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    )


def chain(axes: Axes, x: float, *boxes: tuple[float, str, str]) -> None:
    """Boxes (y, text, colour) below one another, with arrows between them."""
    for (above, *_), (below, *_) in itertools.pairwise(boxes):
        arrow(axes, (x, above - HEIGHT / 2), (x, below + HEIGHT / 2))
    for y, text, colour in boxes:
        box(axes, x, y, text, colour)


def ends(axes: Axes, into: list[float]) -> None:
    """The linear layers at both ends, and arrows from the first to the branches `into`."""
    axes.text(MIDDLE, 1.0, "tokens", ha="center", va="center", fontsize=8, color=MUTED)
    arrow(axes, (MIDDLE, 0.98), (MIDDLE, 0.92 + HEIGHT / 2))
    box(axes, MIDDLE, 0.92, "Linear", width=0.7)
    for x in into:
        arrow(axes, (x, 0.92 - HEIGHT / 2), (x, 0.79 + HEIGHT / 2))
    box(axes, MIDDLE, 0.04, "Linear", width=0.7)


def gate(axes: Axes, y: float, sign: str, colour: str, above: dict[float, float]) -> None:
    """The joint of the branches, and the arrow to the linear layer below."""
    for x, start in above.items():
        arrow(axes, (x, start - HEIGHT / 2), (x, y + HEIGHT / 2))
    box(axes, MIDDLE, y, sign, colour, width=0.96)
    arrow(axes, (MIDDLE, y - HEIGHT / 2), (MIDDLE, 0.04 + HEIGHT / 2))


def mamba(axes: Axes) -> None:
    ends(axes, [LEFT, RIGHT])
    chain(axes, LEFT, (0.79, "conv, causal", MUTED), (0.66, "SiLU", MUTED), (0.45, "scan", BLUE))
    chain(axes, RIGHT, (0.79, "SiLU", MUTED))
    gate(axes, 0.18, "times: a gate", ORANGE, {LEFT: 0.45, RIGHT: 0.79})


def vim(axes: Axes) -> None:
    ends(axes, [LEFT, RIGHT])
    chain(axes, LEFT, (0.79, "2 conv, SiLU", MUTED), (0.58, "scan there", BLUE))
    box(axes, LEFT, 0.47, "scan back", BLUE)
    arrow(axes, (LEFT, 0.47 - HEIGHT / 2), (LEFT, 0.33 + HEIGHT / 2))
    box(axes, LEFT, 0.33, "mean", MUTED)
    chain(axes, RIGHT, (0.79, "SiLU", MUTED))
    gate(axes, 0.18, "times: a gate", ORANGE, {LEFT: 0.33, RIGHT: 0.79})


def vmamba(axes: Axes) -> None:
    ends(axes, [MIDDLE])
    box(axes, MIDDLE, 0.79, "conv 3x3, SiLU", width=0.7)
    arrow(axes, (MIDDLE, 0.79 - HEIGHT / 2), (MIDDLE, 0.66 + HEIGHT / 2))
    box(axes, MIDDLE, 0.66, "cross-scan", MUTED, width=0.96)
    for x in (0.13, 0.38, 0.62, 0.87):
        arrow(axes, (x, 0.66 - HEIGHT / 2), (x, 0.5 + HEIGHT / 2))
        box(axes, x, 0.5, "scan", BLUE, width=0.23)
        arrow(axes, (x, 0.5 - HEIGHT / 2), (x, 0.34 + HEIGHT / 2))
    box(axes, MIDDLE, 0.34, "cross-merge: sum", MUTED, width=0.96)
    arrow(axes, (MIDDLE, 0.34 - HEIGHT / 2), (MIDDLE, 0.18 + HEIGHT / 2))
    box(axes, MIDDLE, 0.18, "LayerNorm", MUTED, width=0.7)
    arrow(axes, (MIDDLE, 0.18 - HEIGHT / 2), (MIDDLE, 0.04 + HEIGHT / 2))


def mambavision(axes: Axes) -> None:
    ends(axes, [LEFT, RIGHT])
    chain(axes, LEFT, (0.79, "conv, centred", MUTED), (0.66, "SiLU", MUTED), (0.45, "scan", BLUE))
    chain(axes, RIGHT, (0.79, "conv, centred", MUTED), (0.66, "SiLU", MUTED))
    gate(axes, 0.18, "side by side: concat", GREEN, {LEFT: 0.45, RIGHT: 0.66})


def draw() -> Figure:
    figure = new_figure(4.6, 6.6, "Four mixers")
    mixers = {"Mamba": mamba, "Vim": vim, "VMamba": vmamba, "MambaVision": mambavision}
    for axes, (name, fill) in zip(figure.subplots(2, 2).ravel(), mixers.items(), strict=True):
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.03)
        axes.set_axis_off()
        fill(axes)
        set_title(axes, name)
    return figure
