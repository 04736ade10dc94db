"""A classifier of which only the head is trained.

The trunk and the final norm stay as they are: they run in evaluation, running statistics and no drop path, and leave
nothing on the tape, so that no backward goes through them. What is left to train is a linear classifier on fixed features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ..backend import Array
from ..core import Layer, Param, Tape
from ..errors import InputError
from ..models.classifier import Classifier


class FrozenTrunk(Layer):
    """`model`, with its own state-dict keys, and parameters that are those of its head alone."""

    key_of: ClassVar[dict[str, str]] = {"model": ""}

    def __init__(self, model: Classifier) -> None:
        if model.head is None:
            raise InputError("FrozenTrunk: the model has no head, and so nothing to train; give it one with reset_head")
        if not model.head_takes_pooled:
            raise InputError(
                f"FrozenTrunk: the logits of this {type(model).__name__} are not those of its head on one vector;"
                " train all of it"
            )
        self.model = model

    def named_parameters(self) -> Iterator[tuple[str, Param]]:
        """Those of the head, under their keys in the whole model."""
        return ((key, param) for key, param in super().named_parameters() if key.startswith("head."))

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        """Logits (B, num_classes) of images (B, in_chans, H, W)."""
        assert self.model.head is not None
        return self.model.head(self.model.pooled(x), tape)

    def backward(self, dy: Array, tape: Tape) -> None:  # type: ignore[override]
        """The gradients of the head; there is none of the images."""
        assert self.model.head is not None
        self.model.head.backward(dy, tape)
