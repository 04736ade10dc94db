"""A MambaVision cut in two at one of its stages: what lies below it, and what lies above. Both are layers.

    image  →  BelowStage  →  stage (B, C, H, W)  →  AboveStage  →  logits

The stage is the map before its downsampling, as `model.features` gives it. Both share the model's layers.
"""

from __future__ import annotations

import itertools

from ...backend import Array
from ...core import Layer, Tape
from ...errors import InputError
from ...models.classifier import channel_first, channel_last
from ...models.mambavision import MambaVision


def check_stage(stage: int) -> None:
    """Raise InputError unless `stage` is 0, 1, 2 or 3."""
    if isinstance(stage, bool) or stage not in (0, 1, 2, 3):
        raise InputError(f"stage is {stage!r}, expected 0, 1, 2 or 3")


class BelowStage(Layer):
    """Image (B, in_chans, H, W) to a stage (B, C, H', W')."""

    def __init__(self, model: MambaVision, stage: int) -> None:
        check_stage(stage)
        self.model, self.stage = model, stage

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        stem = self.model.patch_embed
        x = stem(channel_last(x).astype(stem.conv_down[0].weight.dtype, copy=False), tape)
        for level in self.model.levels[: self.stage]:
            assert level.downsample is not None
            x = level.downsample(level(x, tape), tape)
        return channel_first(self.model.levels[self.stage](x, tape))

    def backward(self, dy: Array, tape: Tape) -> Array:
        dx = self.model.levels[self.stage].backward(channel_last(dy), tape)
        for level in reversed(self.model.levels[: self.stage]):
            assert level.downsample is not None
            dx = level.backward(level.downsample.backward(dx, tape), tape)
        return channel_first(self.model.patch_embed.backward(dx, tape))


class AboveStage(Layer):
    """A stage (B, C, H', W') to logits (B, num_classes)."""

    def __init__(self, model: MambaVision, stage: int) -> None:
        check_stage(stage)
        if model.head is None:
            raise InputError("this model has no head, and so no classes to explain; make one with num_classes above 0")
        self.model, self.stage, self.head = model, stage, model.head

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        x = channel_last(x)
        for below, level in itertools.pairwise(self.model.levels[self.stage :]):
            assert below.downsample is not None
            x = level(below.downsample(x, tape), tape)
        return self.head(self.model.avgpool(self.model.norm(x, tape), tape), tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        pooled = self.model.avgpool.backward(self.head.backward(dy, tape), tape)
        dx = self.model.norm.backward(pooled, tape)
        for below, level in reversed(list(itertools.pairwise(self.model.levels[self.stage :]))):
            assert below.downsample is not None
            dx = below.downsample.backward(level.backward(dx, tape), tape)
        return channel_first(dx)
