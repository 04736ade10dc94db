"""The rule of a Backbone, of whatever family."""

from __future__ import annotations

from ..models.backbone import Backbone
from .walk import Shape, Walk, rule


@rule(Backbone)
def backbone(walk: Walk, model: Backbone, shape: Shape) -> Shape:
    shape = walk.through(model.trunk, shape)
    walk.part = "outputs"
    for index in model.out_indices:
        shape = walk.in_turn(walk.maps[index], model.out_norm(index))
    return shape
