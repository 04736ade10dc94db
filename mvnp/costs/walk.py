"""Goes through a model in the order of its forward, with a shape in place of an array.

What a layer makes of a shape is said by a rule for its class, in the file of its family:

    @rule(Mlp)
    def mlp(walk: Walk, layer: Mlp, shape: Shape) -> Shape:
        return walk.in_turn(shape, layer.fc1, layer.act, layer.fc2)

A layer without a rule is one row, which keeps its shape and costs nothing but its parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..core import Layer, Param

Shape = tuple[int, ...]
Rule = Callable[["Walk", Any, Shape], Shape]
AnyRule = TypeVar("AnyRule", bound=Rule)

RULES: dict[type[Layer], Rule] = {}


def rule(*kinds: type[Layer]) -> Callable[[AnyRule], AnyRule]:
    """Decorates the rule for layers of these classes."""

    def decorate(function: AnyRule) -> AnyRule:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return decorate


@dataclass(frozen=True)
class LayerCost:
    """One row: where the layer stands, its class, the shape of its output for one image, and what it costs.

    Operations that are no layer of their own, "scan" and "attention", and the cutting into windows and back have rows too,
    under the path of the layer that does them. `part` is the part of the model that it belongs to, as `mvnp summary` sums up.
    """

    path: str
    kind: str
    shape: Shape
    parameters: int
    macs: int = 0
    scan_flops: int = 0
    part: str = field(default="", compare=False)


def present(layer: Layer, *names: str) -> list[Layer | None]:
    """Those of its parts that it has: a trunk has been cut."""
    return [vars(layer).get(name) for name in names]


class Walk:
    """The rows of what it has gone through, the part that it is in, and the maps (H, W, C) that a Backbone gives of it."""

    def __init__(self) -> None:
        self.rows: list[LayerCost] = []
        self.maps: list[Shape] = []
        self.part = ""

    def through(self, layer: Layer, shape: Shape) -> Shape:
        """The shape that `layer` makes of `shape`; its rows are noted."""
        for kind in type(layer).__mro__:
            if kind in RULES:
                return RULES[kind](self, layer, shape)
        return self.note(layer, type(layer).__name__, shape)

    def in_turn(self, shape: Shape, *layers: Layer | None) -> Shape:
        """`through` one layer after another; None is an option that is off."""
        for layer in layers:
            if layer is not None:
                shape = self.through(layer, shape)
        return shape

    def note(self, layer: Layer, kind: str, shape: Shape, macs: int = 0, scan_flops: int = 0) -> Shape:
        """Add a row, which has the parameters that are the layer's own; the shape."""
        own = sum(param.size for param in vars(layer).values() if isinstance(param, Param) and param.trainable)
        self.rows.append(LayerCost(layer.path, kind, shape, own, macs, scan_flops, self.part))
        return shape
