"""What the backward of a checkpointed scan has in memory in the last block; how many states that is, for any length of one."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mvnp.visualize.figures.style import BLUE, FAINT, MUTED, ORANGE, new_figure, set_labels

TOKENS, BLOCK = 16, 4
L = 196


def draw() -> Figure:
    figure = new_figure(5.8, 2.7, "Some states are kept, the others made again")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    for t in range(TOKENS):
        left.add_patch(Rectangle((t + 0.1, 0), 0.8, 0.8, facecolor="none", edgecolor=FAINT))
        if t >= TOKENS - BLOCK:
            left.add_patch(Rectangle((t + 0.1, 0), 0.8, 0.8, facecolor=ORANGE))
        if t % BLOCK == 0:
            left.add_patch(Rectangle((t - 0.2, 1.2), 0.4, 0.8, facecolor=BLUE))
            left.plot([t, t], [-0.3, 1.1], color=MUTED, linewidth=0.8)
    left.text(0.4, 1.6, "kept", color=BLUE, va="center", fontsize=8)
    left.text(TOKENS - BLOCK + 0.1, -0.7, "of one block", color=ORANGE, va="center", fontsize=8)
    left.set_xlim(-0.5, TOKENS + 0.2)
    left.set_ylim(-1.6, 2.6)
    left.set_yticks([])
    left.set_xticks(np.arange(0, TOKENS, BLOCK) + 0.5, range(0, TOKENS, BLOCK))
    set_labels(left, f"{TOKENS} tokens in blocks of {BLOCK}", "token")

    K = np.arange(1, 61)
    kept = np.ceil(L / K)
    right.plot(K, kept, color=BLUE, linewidth=1.4, label="kept, l / K")
    right.plot(K, K, color=ORANGE, linewidth=1.4, label="of a block, K")
    right.plot(K, kept + K, color=MUTED, linewidth=2.0, label="both")
    best = int(K[np.argmin(kept + K)])
    right.plot(best, kept[best - 1] + best, "o", color=MUTED, markersize=5)
    right.set_ylim(0, 100)
    right.legend(fontsize=8, frameon=False, labelcolor=MUTED)
    set_labels(right, f"states in memory, {L} tokens", "K")
    return figure
