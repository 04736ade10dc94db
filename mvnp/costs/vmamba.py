"""The rules of VMamba."""

from __future__ import annotations

import math

from ..layers.depthwise_conv2d import DepthwiseConv2d
from ..models.ss2d import SS2D, K
from ..models.vmamba import VMamba
from ..models.vss_stages import GatedMlp, PatchMerging, Sequence, VSSBlock, VSSStage
from .layers import scan
from .walk import Shape, Walk, present, rule


@rule(VMamba)
def vmamba(walk: Walk, model: VMamba, shape: Shape) -> Shape:
    walk.part = "stem"
    shape = walk.in_turn(shape, model.patch_embed, model.pos_embed)
    for number, level in enumerate(model.levels):
        walk.part = f"level {number}"
        shape = walk.through(level, shape)
        walk.maps.append(shape)
        shape = walk.in_turn(shape, level.downsample)
    walk.part = "head"
    return walk.in_turn(shape, *present(model, "norm", "avgpool", "head"))


@rule(Sequence)
def sequence(walk: Walk, layer: Sequence, shape: Shape) -> Shape:
    return walk.in_turn(shape, *layer.steps)


@rule(PatchMerging)
def patch_merging(walk: Walk, layer: PatchMerging, shape: Shape) -> Shape:
    H, W, C = shape
    return walk.in_turn((-(-H // 2), -(-W // 2), 4 * C), layer.norm, layer.reduction)


@rule(VSSStage)
def stage(walk: Walk, layer: VSSStage, shape: Shape) -> Shape:
    return walk.in_turn(shape, *layer.blocks)


@rule(VSSBlock)
def block(walk: Walk, layer: VSSBlock, shape: Shape) -> Shape:
    return walk.in_turn(shape, layer.norm, layer.op, layer.norm2, layer.mlp)


@rule(GatedMlp)
def gated_mlp(walk: Walk, layer: GatedMlp, shape: Shape) -> Shape:
    *rows, hidden = walk.through(layer.fc1, shape)
    return walk.in_turn((*rows, hidden // 2), layer.act, layer.fc2)


@rule(DepthwiseConv2d)
def depthwise_conv2d(walk: Walk, layer: DepthwiseConv2d, shape: Shape) -> Shape:
    return walk.note(layer, "DepthwiseConv2d", shape, math.prod(shape) * math.prod(layer.weight.shape[2:]))


@rule(SS2D)
def ss2d(walk: Walk, layer: SS2D, shape: Shape) -> Shape:
    """The projections of the four routes are parameters of the mixer itself, so they are in the row of its scans."""
    H, W, _ = shape
    E, R, N = layer.out_proj.weight.shape[1], layer.rank, layer.d_state
    walk.through(layer.in_proj, shape)
    walk.in_turn((H, W, E), layer.conv2d, layer.act)
    scan(walk, layer, (K, H * W, E), N, macs=K * H * W * E * (2 * R + 2 * N))
    return walk.in_turn((H, W, E), layer.norm_layer, layer.gate_act, layer.out_proj)
