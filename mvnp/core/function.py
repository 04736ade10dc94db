"""Function: what layers share that are no more than their pair of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..backend import Array
from .layer import Layer
from .tape import Tape


class Function(Layer):
    """A layer that is its pair of functions and what it hands to them:

        y, cache = pair[0](x, *params, *options)
        dx, *gradients = pair[1](dy, cache)        without params: dx alone

    params     names of attributes: a `Param`, whose array is handed over, or None for an absent one
    options    names of attributes that are handed over as they are
    """

    pair: tuple[Callable[..., tuple[Array, Any]], Callable[..., Any]]
    params: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ()

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        params = (getattr(self, name) for name in self.params)
        arrays = [None if param is None else param.data for param in params]
        return self.record(tape, self.pair[0](x, *arrays, *(getattr(self, name) for name in self.options)))

    def backward(self, dy: Array, tape: Tape) -> Array:
        gradients = self.pair[1](dy, tape.pop(self))
        if not self.params:
            return gradients
        return self.accumulate(tape, gradients, *(getattr(self, name) for name in self.params))
