"""Gradients that are kept in float16, and the factor that holds them in its range.

    loss        S ℓ instead of ℓ: every gradient is S times as large, and what would have been rounded to 0 is not
    step        g = float32(g₁₆) / S
    overflow    a gradient that is not finite: the step is skipped, and S ← S / 2
    growth      after 2000 steps without one: S ← 2 S, up to 2²⁴

S is a power of two, 2¹⁶ at first, so scaling itself rounds nothing. It is looked for while training, because the best one
changes: just below the largest that does not overflow.

Micikevicius et al.: Mixed Precision Training, arXiv:1710.03740, section 3.2.
"""

from __future__ import annotations

from ..backend import Array
from ..errors import TrainingError

FIRST, LARGEST, PATIENCE = 2.0**16, 2.0**24, 2000


def unscaled(gradients: dict[str, Array], scale: float) -> dict[str, Array]:
    """g for each gradient."""
    return {name: gradient.astype("float32") * (1.0 / scale) for name, gradient in gradients.items()}


def adapted(scale: float, good_steps: int, overflowed: bool) -> tuple[float, int]:
    """The scale for the next step, and how many good ones in a row there have been with it.

    Raises TrainingError where the scale would fall below 1: it is not the scale, then, that overflows.
    """
    if overflowed:
        if scale <= 1:
            raise TrainingError("numbers overflow float16 at a loss scale of 1; train this model with --precision full")
        return scale / 2, 0
    if good_steps + 1 < PATIENCE:
        return scale, good_steps + 1
    return min(2 * scale, LARGEST), 0
