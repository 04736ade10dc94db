"""The learning rate of each step: a straight warm-up, then half a cosine down.

    t step, from 0    W steps of warm-up    T steps of the cosine

    t < W     η = η_w + (η_max − η_w) t / W                                      (1)
    t ≥ W     η = η_min + (η_max − η_min) (1 + cos(π t / T)) / 2     t < T       (2)
    t ≥ T     η = η_min                                                          (3)

A run of this package begins the cosine where the warm-up ends: t − W stands for t in (2) and (3), and T is what is left of the
run. MambaVision's recipe counts t in (2) from the very beginning, so that the rate steps down a little where the warm-up
ends (by 1 % for 20 of 310 epochs), and has (3) for some epochs of cool-down.

With `cycles` the cosine starts again, at η_max times d^i in cycle i, which is T a^i long; (2) holds within it. With k-decay
cos(π t^k / T^k) stands in (2): k above 1 stays high for longer.

A function of the step and nothing else: a resumed run needs no state to go on with the same rate.

Loshchilov, Hutter: SGDR, arXiv:1608.03983, eq. 5; the warm-up as in Goyal et al., arXiv:1706.02677. Zhang, Li: k-decay,
arXiv:2004.05909. The options behave as those of timm's cosine schedule.
"""

from __future__ import annotations

import math

from ..errors import InputError, check_choice, check_positive, is_number, refusing, shown


@refusing
def cosine_rate(
    t: float,
    cycle: float,
    lr: float,
    min_lr: float = 0.0,
    *,
    warmup: float = 0,
    warmup_lr: float = 0.0,
    warmup_prefix: bool = False,
    cycles: int = 1,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    k_decay: float = 1.0,
) -> float:
    """η of (1) to (3) at t, with T = cycle; t may count steps or epochs.

    warmup, warmup_lr        W and η_w
    warmup_prefix            the cosine begins after the warm-up, not beside it
    cycles                   how many there are; after them comes (3)
    cycle_mul, cycle_decay   a and d: how much longer, and lower, each cycle is than the one before
    k_decay                  k
    """
    _check("cosine_rate", t=t, lr=lr, min_lr=min_lr, warmup=warmup, warmup_lr=warmup_lr, cycles=cycles)
    check_positive("cosine_rate", cycle=cycle, cycle_mul=cycle_mul, cycle_decay=cycle_decay, k_decay=k_decay)
    if t < warmup:
        return warmup_lr + t * (lr - warmup_lr) / warmup  # (1)
    if warmup_prefix:
        t = t - warmup
    if cycle_mul == 1:
        number = math.floor(t / cycle)
        start, length = number * cycle, cycle
    elif t * (1 - cycle_mul) >= cycle:  # shrinking cycles never come to T / (1 − a)
        return min_lr
    else:  # cycles 0 to i − 1 take T (1 − aⁱ) / (1 − a) together
        number = math.floor(math.log(1 - t / cycle * (1 - cycle_mul), cycle_mul))
        start, length = cycle * (1 - cycle_mul**number) / (1 - cycle_mul), cycle * cycle_mul**number
    if number >= cycles:
        return min_lr  # (3)
    highest, share = lr * cycle_decay**number, ((t - start) / length) ** k_decay
    return min_lr + (highest - min_lr) * (1.0 + math.cos(math.pi * share)) / 2.0  # (2)


@refusing
def learning_rate(
    step: int, total_steps: int, warmup_steps: int, lr: float, min_lr: float = 0.0, warmup_lr: float = 0.0
) -> float:
    """η of a step in a run. The first step has `warmup_lr` (or `lr`, without warm-up); after the last comes `min_lr`."""
    _check("learning_rate", step=step, total_steps=total_steps, warmup_steps=warmup_steps, lr=lr, min_lr=min_lr)
    if step >= max(total_steps, warmup_steps):
        return min_lr
    cycle = max(total_steps - warmup_steps, 1)  # in a run of warm-up alone, none is left
    return cosine_rate(step, cycle, lr, min_lr, warmup=warmup_steps, warmup_lr=warmup_lr, warmup_prefix=True)


@refusing
def scaled_rate(lr: float, base_batch: int, batch: int, rule: str = "sqrt") -> float:
    """The rate for another batch size than that which `lr` was found for: lr (batch/base_batch)^½, which suits LAMB and AdamW,
    or, by the rule "linear", lr batch/base_batch, which suits SGD (Goyal et al.)."""
    check_positive("scaled_rate", lr=lr, base_batch=base_batch, batch=batch)
    check_choice("rule", rule, ("sqrt", "linear"))
    ratio = batch / base_batch
    return lr * (math.sqrt(ratio) if rule == "sqrt" else ratio)


def _check(owner: str, **settings: float) -> None:
    for name, value in settings.items():
        if not is_number(value) or value < 0:
            raise InputError(f"{owner}: {name} is {shown(value)}, expected a number of at least 0")
