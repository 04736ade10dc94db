"""The rules of MambaVision; a number in brackets is an equation of cost.py."""

from __future__ import annotations

from ..core import padded_size
from ..models.attention import MultiHeadAttention
from ..models.blocks import Block, ConvBlock
from ..models.mambavision import MambaVision
from ..models.mixer import MambaVisionMixer
from ..models.mlp import Mlp
from ..models.stages import ConvLevel, Downsample, HybridLevel, PatchEmbed
from .layers import scan
from .walk import Shape, Walk, present, rule


@rule(MambaVision)
def mambavision(walk: Walk, model: MambaVision, shape: Shape) -> Shape:
    walk.part = "stem"
    shape = walk.through(model.patch_embed, shape)
    for number, level in enumerate(model.levels):
        walk.part = f"level {number}"
        shape = walk.through(level, shape)
        walk.maps.append(shape)
        shape = walk.in_turn(shape, level.downsample)
    walk.part = "head"
    return walk.in_turn(shape, *present(model, "norm", "avgpool", "head"))


@rule(PatchEmbed)
def patch_embed(walk: Walk, layer: PatchEmbed, shape: Shape) -> Shape:
    return walk.in_turn(shape, *layer.conv_down)


@rule(Downsample)
def downsample(walk: Walk, layer: Downsample, shape: Shape) -> Shape:
    return walk.in_turn(shape, *layer.reduction)


@rule(ConvLevel)
def conv_level(walk: Walk, level: ConvLevel, shape: Shape) -> Shape:
    return walk.in_turn(shape, *level.blocks)


@rule(HybridLevel)
def hybrid_level(walk: Walk, level: HybridLevel, shape: Shape) -> Shape:
    H, W, C = shape
    P = level.window
    Hp, Wp = padded_size(H, W, P)
    tokens = walk.note(level, "windows", (Hp // P * (Wp // P), P * P, C))
    walk.in_turn(tokens, *level.blocks)
    return walk.note(level, "windows", shape)


@rule(ConvBlock)
def conv_block(walk: Walk, layer: ConvBlock, shape: Shape) -> Shape:
    return walk.in_turn(shape, layer.conv1, layer.norm1, layer.act, layer.conv2, layer.norm2, layer.gamma)


@rule(Block)
def block(walk: Walk, layer: Block, shape: Shape) -> Shape:
    shape = walk.in_turn(shape, layer.norm1, layer.mixer, layer.gamma_1)
    return walk.in_turn(shape, layer.norm2, layer.mlp, layer.gamma_2)


@rule(Mlp)
def mlp(walk: Walk, layer: Mlp, shape: Shape) -> Shape:
    return walk.in_turn(shape, layer.fc1, layer.act, layer.fc2)


@rule(MambaVisionMixer)
def mixer(walk: Walk, layer: MambaVisionMixer, shape: Shape) -> Shape:
    walk.through(layer.in_proj, shape)
    nW, L, _ = shape
    branch = (nW, L, layer.D.shape[0])
    walk.in_turn(branch, layer.conv1d_x, layer.conv1d_z)
    walk.through(layer.x_proj, branch)
    walk.through(layer.dt_proj, (nW, L, layer.rank))
    scan(walk, layer, branch, layer.d_state)
    return walk.through(layer.out_proj, (nW, L, layer.out_proj.weight.shape[1]))


@rule(MultiHeadAttention)
def attention(walk: Walk, layer: MultiHeadAttention, shape: Shape) -> Shape:
    """(4)"""
    nW, L, C = shape
    walk.through(layer.qkv, shape)
    walk.in_turn((nW, layer.heads, L, C // layer.heads), layer.q_norm, layer.k_norm)
    walk.note(layer, "attention", shape, macs=2 * nW * L * L * C)
    return walk.through(layer.proj, shape)
