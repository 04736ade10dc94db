"""The learning rate of each step: a straight warm-up, then half a cosine down.

    s step, from 0    W steps of warm-up    S steps in all

    s < W     η = η_w + (η_max − η_w) s / W                                      (1)
    s ≥ W     η = η_min + (η_max − η_min) (1 + cos(π (s − W) / (S − W))) / 2     (2)

A function of the step and nothing else: a resumed run needs no state to go on with the same rate.

Loshchilov, Hutter: SGDR, arXiv:1608.03983, eq. 5, without restarts; the warm-up as in Goyal et al., arXiv:1706.02677.
"""

from __future__ import annotations

import math


def learning_rate(
    step: int, total_steps: int, warmup_steps: int, lr: float, min_lr: float = 0.0, warmup_lr: float = 0.0
) -> float:
    """η of (1) and (2). The first step has `warmup_lr` (or `lr`, without warm-up); after the last comes `min_lr`."""
    if step < warmup_steps:
        return warmup_lr + (lr - warmup_lr) * step / warmup_steps
    if step >= total_steps:
        return min_lr
    progress = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (lr - min_lr) * (1.0 + math.cos(math.pi * progress)) / 2.0
