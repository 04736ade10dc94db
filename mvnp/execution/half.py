"""Half the memory for what a backward needs: stored in float16, computed with in float32.

    stored      c₁₆ = round₁₆(c)            large arrays of a cache, from the forward to the backward
    restored    c = float32(c₁₆)            when the backward takes them
    gradients   g₁₆ = round₁₆(g)            of the parameters; where there are several, their sum in float32

float16 has 11 bits of mantissa: a stored number is off by at most 2⁻¹¹ of itself, if it is between 6·10⁻⁵ and 65504. Above
that it becomes infinite, and the step finds gradients that are not finite. All sums and products stay in float32. Parameters
and the small vectors of norms (one number for each channel) are kept as they are: there is nothing to save.

Micikevicius et al.: Mixed Precision Training, arXiv:1710.03740, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import Array
from ..core import Layer, Param, Tape


class HalfTape(Tape):
    """A tape that stores caches and gradients in float16."""

    def store(self, layer: Layer, cache: Any) -> Any:
        """A cache with its float32 arrays of two axes and more in float16, but for the parameters of `layer`."""
        parameters = {id(value.data) for value in vars(layer).values() if isinstance(value, Param)}

        def halved(array: Array) -> Array:
            small = array.dtype != "float32" or array.ndim < 2 or id(array) in parameters
            return array if small else array.astype("float16")

        return _mapped(halved, cache)

    def restore(self, cache: Any) -> Any:
        """A cache with its float16 arrays in float32."""
        return _mapped(_single, cache)

    def add(self, key: int, gradient: Array) -> None:
        """Add to the gradient of the parameter with this id."""
        self.seal()
        total = self.grads.get(key)
        total = gradient if total is None else _single(total) + _single(gradient)
        self.grads[key] = total.astype("float16")


def _single(array: Array) -> Array:
    return array.astype("float32") if array.dtype == "float16" else array


def _mapped(function: Callable[[Array], Array], value: Any) -> Any:
    """The value with `function` applied to each array in its tuples and lists."""
    if isinstance(value, list | tuple):
        entries = [_mapped(function, entry) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    return function(value) if hasattr(value, "dtype") and hasattr(value, "astype") else value
