"""Pyramid: a classifier of levels, each on a map half as high and wide as the one before.

    image (B, in_chans, H, W)
      → stem
      → level i, downsampling     for each level; none behind the last
      → norm, global average pool, linear

A *stage* is the map of a level before its downsampling. `forward` and `backward` are each
network's own, as its figure has them; what stages, vectors and backbones are made of is here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ..backend import Array
from ..core import Layer, Tape
from ..execution.shares import in_shares
from ..layers.batchnorm import BatchNorm
from ..layers.layernorm import LayerNorm
from ..layers.pool import AveragePool
from .classifier import Classifier, channel_last


class Level(Layer):
    """Blocks on the whole map, (B, H, W, C) to the same. `downsample` comes behind its stage; None:
    it is the last level."""

    def __init__(self, blocks: list[Any], downsample: Any = None) -> None:
        self.blocks = blocks
        self.downsample = downsample

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        for block in self.blocks:
            x = block(x, tape)
        return x

    def backward(self, dy: Array, tape: Tape) -> Array:
        for block in reversed(self.blocks):
            dy = block.backward(dy, tape)
        return dy


class Pyramid(Classifier):
    """A classifier with `levels`, `norm` and `avgpool`; `config` has the blocks of each level as
    `depths`. A network gives `stem` and `stem_backward`."""

    levels: list[Any]
    norm: BatchNorm | LayerNorm
    avgpool: AveragePool

    @property
    def width(self) -> int:
        """That of the last stage."""
        return self.channels[-1]

    def stem(self, x: Array, tape: Tape | None) -> Array:
        """The first level's input (B, H, W, C), of images (B, in_chans, H, W)."""
        raise NotImplementedError

    def stem_backward(self, dx: Array, tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W), from the gradient of `stem`; None without `tape.inputs`."""
        raise NotImplementedError

    @in_shares(Classifier.images)
    def pooled(self, x: Array, tape: Tape | None = None) -> Array:
        """The last stage, behind its norm and pooled (B, width): what the head sees."""
        *_, x = self.stages(x, tape)
        x = self.norm(x, tape)
        return self.avgpool(x, tape)

    @in_shares(Classifier.dpooled)
    def pooled_backward(self, dpooled: Array, tape: Tape) -> Array | None:
        """dx, from the gradient of `pooled`."""
        dx = self.avgpool.backward(dpooled, tape)
        dx = self.norm.backward(dx, tape)
        return self.stages_backward([*[None] * (len(self.levels) - 1), dx], tape)

    def stages(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """Channel-last maps, one for each level, of images (B, in_chans, H, W)."""
        x = self.stem(x, tape)
        stages = []
        for level in self.levels:
            stages.append(level(x, tape))
            if level.downsample is not None:
                x = level.downsample(stages[-1], tape)
        return stages

    def stages_backward(self, dstages: Sequence[Array | None], tape: Tape) -> Array | None:
        """dx (B, in_chans, H, W); a stage that only the next level depends on has None."""
        dx = None
        for level, dstage in zip(reversed(self.levels), reversed(dstages), strict=True):
            if level.downsample is not None:
                dx = level.downsample.backward(dx, tape)
                dstage = dx if dstage is None else dx + dstage  # it has two readers
            dx = level.backward(dstage, tape)
        assert dx is not None
        return self.stem_backward(dx, tape)

    def features_and_pooled(self, x: Array) -> tuple[list[Array], Array]:
        """Both from one forward: what is pooled is the last stage."""
        features = self.features(x)
        return features, self.avgpool(self.norm(channel_last(features[-1])))

    def cut_after(self, stage: int) -> None:
        """Leave off head, norm and pooling, and the levels behind this stage."""
        self.head = None
        del self.norm, self.avgpool
        del self.levels[stage + 1 :]
        self.levels[stage].downsample = None

    def depth_of(self, key: str) -> int:
        """The block, counted over all levels from 1; a downsampling belongs to the block after
        it."""
        before = [0, *itertools.accumulate(self.config["depths"])]  # blocks in front of each level
        part, *rest = key.split(".")
        if part in ("patch_embed", "pos_embed"):
            return 0
        if part != self.key_of.get("levels", "levels"):
            return before[-1] + 1
        level, kind = int(rest[0]), rest[1]
        return before[level + 1] + 1 if kind == "downsample" else before[level] + int(rest[2]) + 1
