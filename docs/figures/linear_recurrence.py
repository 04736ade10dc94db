"""What is left of a number that came in; and the joins of the tree that solves 16 steps in 7 rounds."""

import numpy as np
from matplotlib.figure import Figure

from mvnp.layers.linear_recurrence import linear_recurrence_forward
from mvnp.visualize.figures.style import BLUE, GREEN, INK, MUTED, ORANGE, new_figure, set_labels

STEPS = 16


def draw() -> Figure:
    figure = new_figure(5.8, 3.0, "A fading memory, and how to work it out in few rounds")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    impulse = np.zeros((32, 1))
    impulse[4] = 1.0
    for decay, color, style in ((0.95, BLUE, "o"), (0.8, ORANGE, "s"), (0.5, GREEN, "^")):
        states, _ = linear_recurrence_forward(np.full((32, 1), decay), impulse)
        left.plot(states[:, 0], style, color=color, markersize=3, label=f"a = {decay}")
    left.legend(fontsize=8, frameon=False, labelcolor=MUTED, handletextpad=0.1)
    set_labels(left, "h after a 1 at token 4", "t")

    # The joins of (5), from a start of 0: which position takes in which other.
    last, complete, number = [0] * STEPS, {0}, 0
    distances = [1 << j for j in range((STEPS - 1).bit_length())]
    right.scatter(np.arange(STEPS), np.zeros(STEPS), s=14, color=INK, zorder=2)
    for up, s in [(True, s) for s in distances] + [(False, s) for s in reversed(distances)]:
        late = range(2 * s - 1 if up else 3 * s - 1, STEPS, 2 * s)
        number += bool(late)
        for to in late:
            for source in (to - s, to):
                right.plot([source, to], [last[source], number], color=MUTED, linewidth=0.8, zorder=1)
            if to - s in complete:
                complete.add(to)
        for to in late:
            last[to] = number
            right.scatter(to, number, s=14, color=BLUE, marker="s" if to in complete else "o", zorder=2)
    assert complete == set(range(STEPS)), "the sweeps leave a state unfinished"
    right.invert_yaxis()
    right.set_xticks(range(0, STEPS, 3))
    right.set_yticks(range(number + 1))
    set_labels(right, f"{number} rounds for {STEPS} tokens", "position", "round")
    return figure
