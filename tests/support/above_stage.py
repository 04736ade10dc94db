"""What lies above a stage of a MambaVision, written down once more: an oracle for gradients at a stage."""

import itertools

from mvnp.core import Layer
from mvnp.models.classifier import channel_first, channel_last


class AboveStage(Layer):
    """A stage (B, C, H, W) to logits (B, num_classes)."""

    def __init__(self, model, stage):
        self.model, self.stage = model, stage

    def forward(self, x, tape=None):
        x = channel_last(x)
        for below, level in itertools.pairwise(self.model.levels[self.stage :]):
            x = level(below.downsample(x, tape), tape)
        return self.model.head(self.model.avgpool(self.model.norm(x, tape), tape), tape)

    def backward(self, dy, tape):
        pooled = self.model.avgpool.backward(self.model.head.backward(dy, tape), tape)
        dx = self.model.norm.backward(pooled, tape)
        for below, level in reversed(list(itertools.pairwise(self.model.levels[self.stage :]))):
            dx = below.downsample.backward(level.backward(dx, tape), tape)
        return channel_first(dx)
