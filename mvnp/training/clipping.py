"""Gradient clipping: gradients that are too long are shortened, by one of three measures.

    by norm     n = √(Σ ‖g‖²) over all parameters        g ← g min(1, c / (n + 1e-6))           (1)
    by value    each entry                                g ← min(c, max(−c, g))                 (2)
    by unit     for each output unit u of a parameter     g_u ← g_u min(1, c max(‖θ_u‖, 1e-3) / ‖g_u‖)    (3)

(1) keeps the direction of the step, (2) does not. (3) is adaptive: a unit, a row of the first axis, may move by at most the
share c of its own length; of a vector, all entries together are one unit. The last layer is best left out of (3).

Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks, arXiv:1211.5063, algorithm 1, with 1e-6 in
the denominator as PyTorch has it. Brock et al.: High-performance large-scale image recognition without normalization,
arXiv:2102.06171, eq. 3.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..backend import Array, array_module
from ..core import Param
from ..errors import InputError, check_positive, refusing


@refusing
def global_norm(gradients: Mapping[str, Array]) -> Array:
    """n, a 0-d float64 array where the gradients are: nothing waits for a GPU until somebody reads it."""
    if not gradients:
        raise InputError("global_norm: there are no gradients; run the backward first")
    xp = array_module(*gradients.values())
    # Each is summed in its own precision, by BLAS; the sum of the sums, over hundreds of parameters, in float64.
    squares = [xp.vdot(gradient, gradient) for gradient in gradients.values()]
    return xp.sqrt(xp.stack(squares).astype("float64").sum())


@refusing
def clipped(gradients: Mapping[str, Array], norm: float, max_norm: float | None) -> Mapping[str, Array]:
    """(1), of gradients with that norm n, at c = max_norm. Nothing is changed in place; None: no limit."""
    if max_norm is None:
        return gradients
    check_positive("clipped", max_norm=max_norm)
    if norm + 1e-6 <= max_norm:
        return gradients
    factor = max_norm / (norm + 1e-6)
    return {name: gradient * factor for name, gradient in gradients.items()}


@refusing
def clipped_by_value(gradients: Mapping[str, Array], limit: float) -> dict[str, Array]:
    """(2), at c = limit."""
    check_positive("clipped_by_value", limit=limit)
    return {name: gradient.clip(-limit, limit) for name, gradient in gradients.items()}


@refusing
def clipped_by_unit(gradients: Mapping[str, Array], parameters: Mapping[str, Param], limit: float) -> dict[str, Array]:
    """(3), at c = limit. A gradient whose parameter is not among `parameters` is given back as it is."""
    check_positive("clipped_by_unit", limit=limit)
    return {name: _unit_clipped(g, parameters[name].data, limit) if name in parameters else g for name, g in gradients.items()}


def _unit_clipped(g: Array, p: Array, limit: float) -> Array:
    xp = array_module(g, p)
    axes = tuple(range(1, p.ndim)) or None  # of a vector and of a number: all together
    norm_g, norm_p = (xp.sqrt((a * a).sum(axis=axes, keepdims=True)) for a in (g, p))
    longest = limit * xp.maximum(norm_p, 1e-3)
    return xp.where(norm_g > longest, g * (longest / xp.maximum(norm_g, 1e-6)), g)
