"""Gradient clipping by the global norm: all gradients are shortened alike, so that their direction stays.

    n = √(Σ ‖g‖²) over all parameters        g ← g min(1, c / n)

Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks, arXiv:1211.5063, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..backend import Array, array_module
from ..errors import InputError


def global_norm(gradients: Mapping[str, Array]) -> Array:
    """n, a 0-d float64 array where the gradients are: nothing waits for a GPU until somebody reads it."""
    if not gradients:
        raise InputError("global_norm: there are no gradients; run the backward first")
    xp = array_module(*gradients.values())
    # Each is summed in its own precision, by BLAS; the sum of the sums, over hundreds of parameters, in float64.
    squares = [xp.vdot(gradient, gradient) for gradient in gradients.values()]
    return xp.sqrt(xp.stack(squares).astype("float64").sum())


def clipped(gradients: Mapping[str, Array], norm: float, max_norm: float | None) -> Mapping[str, Array]:
    """The gradients, shortened where their norm is above `max_norm`. Nothing is changed in place; None: no limit."""
    if max_norm is None or norm <= max_norm:
        return gradients
    factor = max_norm / norm
    return {name: gradient * factor for name, gradient in gradients.items()}
