"""The rules of Vim."""

from __future__ import annotations

from ..models.vim import Patches, Vim, VimBlock
from ..models.vim_mixer import VimMixer, Way
from .layers import scan
from .walk import Shape, Walk, present, rule


@rule(Vim)
def vim(walk: Walk, model: Vim, shape: Shape) -> Shape:
    walk.part = "stem"
    h, w, d = walk.through(model.patch_embed, shape)
    tokens = (h * w + len(model.class_places), d)
    walk.note(model, "tokens", tokens)
    for number, block in enumerate(model.layers):
        walk.part = f"block {number}"
        walk.through(block, tokens)
    walk.maps = [(h, w, d)] * len(model.channels)
    walk.part = "head"
    walk.in_turn(tokens, *present(model, "norm_f"))
    return walk.in_turn(tokens if model.takes_largest else (d,), model.head)


@rule(Patches)
def patches(walk: Walk, layer: Patches, shape: Shape) -> Shape:
    return walk.through(layer.proj, shape)


@rule(VimBlock)
def block(walk: Walk, layer: VimBlock, shape: Shape) -> Shape:
    return walk.in_turn(shape, layer.norm, layer.mixer)


@rule(VimMixer)
def mixer(walk: Walk, layer: VimMixer, shape: Shape) -> Shape:
    L, C = shape
    inner = (L, 2 * C)
    walk.through(layer.in_proj, shape)
    ways: list[Way] = [layer.there, *([layer.back] if layer.directions == "both" else [])]
    for way in ways:
        walk.in_turn(inner, way.conv1d, way.x_proj)
        walk.through(way.dt_proj, (L, layer.rank))
    scan(walk, layer, inner, layer.scans * layer.d_state)
    return walk.in_turn(inner, layer.out_proj, layer.gamma)
