"""A network cut at one of its stages: what lies below it, a layer; and what a stage's map means to a logit.

    image  →  BelowStage  →  stage (B, C, H, W)  →  …  →  logits

The stage is the map that `model.features` gives. What is made here shares the model's parameters.
"""

from __future__ import annotations

from typing import Any

from ...backend import Array
from ...core import Layer, Tape
from ...errors import InputError
from ...models.classifier import Classifier, channel_first, channel_last
from .families import family_of
from .replace_layers import replace_layers


def check_stage(model: Classifier, stage: int) -> None:
    """Raise InputError unless `stage` is the number of a stage of this model."""
    count = len(model.channels)
    if isinstance(stage, bool) or stage not in range(count):
        *numbers, last = map(str, range(count))
        raise InputError(f"stage is {stage!r}, expected {', '.join(numbers)} or {last}" if numbers else "there is one stage, 0")


class BelowStage(Layer):
    """Image (B, in_chans, H, W) to a stage (B, C, H', W')."""

    def __init__(self, model: Classifier, stage: int) -> None:
        check_stage(model, stage)
        self.trunk = replace_layers(model, {})
        self.trunk.cut_after(stage)
        self.stage = stage

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return channel_first(self.trunk.stages(self.trunk.images(x), tape)[-1])

    def backward(self, dy: Array, tape: Tape) -> Array:
        dx = self.trunk.stages_backward([*[None] * self.stage, channel_last(dy)], tape)
        assert dx is not None
        return dx


class StageTape(Tape):
    """A tape that also keeps what the watched layers gave, and the gradients of that."""

    def __init__(self) -> None:
        super().__init__(training=False)
        self.outputs: dict[str, Array] = {}
        self.gradients_of: dict[str, Array] = {}


def watched(kind: type[Layer]) -> type[Layer]:
    """A subclass whose passes note on a StageTape what they give and get."""

    class Watched(kind):  # type: ignore[valid-type,misc]
        def forward(self, x: Array, tape: Any = None) -> Array:
            tape.outputs[self.path] = y = super().forward(x, tape)
            return y

        def backward(self, dy: Array, tape: Any) -> Array:
            tape.gradients_of[self.path] = dy
            return super().backward(dy, tape)

    return Watched


def stage_evidence(model: Classifier, image: Array, dlogits: Array, stage: int) -> tuple[Array, Array]:
    """A stage's map S (B, C, H, W), and the gradient of ⟨logits, dlogits⟩ there, by the model's own backward."""
    check_stage(model, stage)
    family = family_of(model)
    layer, tape = family.stage_layer(model, stage), StageTape()
    other = replace_layers(model, {type(layer): watched(type(layer))})
    other(image, tape)
    other.backward(dlogits, tape)
    S, dS = tape.outputs[layer.path], tape.gradients_of[layer.path]
    return family.stage_map(model, S), family.stage_map(model, dS)
