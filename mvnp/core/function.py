"""Function: what layers without parameters share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import Array
from .layer import Layer
from .tape import Tape


class Function(Layer):
    """A layer without parameters: its pair of functions, `y, cache = pair[0](x)` and `dx = pair[1](dy, cache)`."""

    pair: tuple[Callable[..., tuple[Array, Any]], Callable[..., Array]]

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.record(tape, self.pair[0](x))

    def backward(self, dy: Array, tape: Tape) -> Array:
        return self.pair[1](dy, tape.pop(self))
