"""The same network with other backwards: layers of some classes replaced by subclasses, every parameter shared.

    watched = replace_layers(model, {Block: WatchedBlock})
    watched.backward(dlogits, tape)     # Block's own backward, and whatever WatchedBlock adds to it

Whoever looks into a backward, or changes a rule of it, does not have to write the network down again, and the layers
need to know nothing of it. The model itself stays as it was, for other threads too.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

from ...core import Layer

AnyLayer = TypeVar("AnyLayer", bound=Layer)


def replace_layers(layer: AnyLayer, classes: Mapping[type[Layer], type[Layer]]) -> AnyLayer:
    """A copy of `layer` and of all below it that shares their parameters and buffers.

    classes    {class: a subclass of it}: what a layer of exactly this class is in the copy
    """
    return _copy(layer, classes, {})


def _copy(value: Any, classes: Mapping[type[Layer], type[Layer]], made: dict[int, Layer]) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_copy(item, classes, made) for item in value)
    if not isinstance(value, Layer):
        return value
    if id(value) not in made:  # a layer that is used in two places is one layer in the copy too
        other = made[id(value)] = copy.copy(value)
        other.__class__ = classes.get(type(value), type(value))
        for name, attribute in vars(value).items():
            setattr(other, name, _copy(attribute, classes, made))
    return made[id(value)]
