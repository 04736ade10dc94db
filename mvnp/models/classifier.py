"""Classifier: what every family of networks has, so that one set of commands serves them all.

    images (B, in_chans, H, W)
      → stages      maps (B, channels[i], H_i, W_i)     `features`
      → pooled      vectors (B, width)                  what the head sees
      → head        logits (B, num_classes)

Images and maps are NCHW at a model's face, as everywhere in the field, and channel-last inside. A
family writes down its way from the images to the logits and back. What is the same in all of them
is here: the checks at the face, and what is made of the stages. CONTRIBUTING.md says how a family
is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..backend import Array, array_module
from ..core import Initializer, Layer, Tape
from ..errors import InputError, Pattern, check_array
from ..execution.shares import in_shares
from ..layers.linear import Linear
from .arguments import check_integer
from .pictures import Pictured

COUNTED = ("none", "one gradient", "two gradients", "three gradients", "four gradients")

AnyClassifier = TypeVar("AnyClassifier", bound="Classifier")


def channel_last(x: Array) -> Array:
    """(B, C, H, W) to (B, H, W, C), row by row in memory."""
    return array_module(x).ascontiguousarray(x.transpose(0, 2, 3, 1))


def channel_first(x: Array) -> Array:
    """(B, H, W, C) to (B, C, H, W), a view."""
    return x.transpose(0, 3, 1, 2)


class Classifier(Pictured, Layer):
    """A network of any family. `type(model)(**model.config)` is built alike.

    config         all arguments but `allocate`, ready for JSON
    in_chans       image channels
    num_classes    0: no head, `model(x)` is `model.pooled(x)`
    head           None: none

    A family gives what raises NotImplementedError here.
    """

    HEAD_ARGUMENTS: ClassVar[tuple[str, ...]] = ("num_classes",)  # no use without a head

    config: dict[str, Any]
    in_chans: int
    num_classes: int
    head: Linear | None

    @property
    def width(self) -> int:
        """Of `pooled`."""
        raise NotImplementedError

    @property
    def head_takes_pooled(self) -> bool:
        """Whether the logits are `head(pooled)`, for whoever trains the head alone."""
        return True

    @property
    def channels(self) -> tuple[int, ...]:
        """The widths of the stages' maps."""
        raise NotImplementedError

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the image for a pixel of each stage's map, along either side."""
        raise NotImplementedError

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the only images that the network takes; None: any."""
        return None

    def pooled(self, x: Array, tape: Tape | None = None) -> Array:
        """What the head sees (B, width), of images (B, in_chans, H, W)."""
        raise NotImplementedError

    def pooled_backward(self, dpooled: Array, tape: Tape) -> Array | None:
        """dx, from the gradient of `pooled`; None without `tape.inputs`."""
        raise NotImplementedError

    def stages(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """Channel-last maps, one for each of `channels`, of images (B, in_chans, H, W)."""
        raise NotImplementedError

    def stages_backward(self, dstages: Sequence[Array | None], tape: Tape) -> Array | None:
        """dx, from the gradients of `stages`; None: nothing depends on that stage by itself."""
        raise NotImplementedError

    def cut_after(self, stage: int) -> None:
        """Become the trunk of a backbone: leave off the head and all behind this stage."""
        raise NotImplementedError

    def depth_of(self, key: str) -> int:
        """How deep the parameter with this key lies: 0 in the stem, 1 … n in the n blocks, n + 1
        behind them."""
        raise NotImplementedError

    @classmethod
    def fitting(cls, image_size: int, channels: int, classes: int, seed: int) -> dict[str, Any]:
        """The arguments that follow from a data set where nobody says otherwise."""
        return {"in_chans": channels, "num_classes": classes, "seed": seed}

    def check_image_size(self, height: int, width: int) -> None:
        """Raise InputError where the network does not take images of this size."""

    # Checks at the face

    def images(self, x: Array) -> Array:
        """x in the model's precision. Raises InputError unless it is images of a size that fits."""
        x = self.in_precision("x", x, ("B", self.in_chans, "H", "W"))
        self.check_image_size(*x.shape[2:])
        return x

    def dlogits(self, dy: Array) -> Array:
        """dy in the model's precision. Raises InputError unless it is like the logits."""
        width = self.num_classes or self.width
        return self.in_precision("dlogits" if self.num_classes else "dpooled", dy, ("B", width))

    def dpooled(self, dpooled: Array) -> Array:
        """dpooled in the model's precision. Raises InputError unless it is (B, width)."""
        return self.in_precision("dpooled", dpooled, ("B", self.width))

    def dfeatures(self, dfeatures: Sequence[Array | None]) -> list[Array | None]:
        """All in the model's precision. Raises InputError unless they are like the features."""
        number = len(self.channels)
        if len(dfeatures) != number or dfeatures[-1] is None:
            raise InputError(
                f"features_backward: expected {COUNTED[number]}, the last of them an array (zeros"
                " where it is unused)"
            )
        return [
            d if d is None else self.in_precision(f"dfeatures[{i}]", d, ("B", width, "H", "W"))
            for i, (d, width) in enumerate(zip(dfeatures, self.channels, strict=True))
        ]

    def in_precision(self, name: str, array: Array, pattern: Pattern) -> Array:
        """The array in the model's dtype, whichever floating one it came in. Raises InputError
        unless it fits `pattern`."""
        check_array(type(self).__name__, name, array, pattern)
        _, first = next(self.named_state())
        return array.astype(first.dtype, copy=False)

    # What is made of the stages

    @in_shares(images)
    def features(self, x: Array, tape: Tape | None = None) -> list[Array]:
        """The stages as maps (B, C, H, W)."""
        return [channel_first(stage) for stage in self.stages(x, tape)]

    @in_shares(dfeatures)
    def features_backward(self, dfeatures: Sequence[Array | None], tape: Tape) -> Array | None:
        """dx, from the gradients of `features`; None: nothing depends on that stage."""
        return self.stages_backward(
            [None if d is None else channel_last(d) for d in dfeatures], tape
        )

    def features_and_pooled(self, x: Array) -> tuple[list[Array], Array]:
        """`features` and `pooled` of the same images, without a tape."""
        return self.features(x), self.pooled(x)

    # Changes

    def astype(self: AnyClassifier, dtype: str) -> AnyClassifier:
        """A copy with parameters and buffers in another dtype; its `config` says so."""
        other = super().astype(dtype)
        other.config["dtype"] = str(np.dtype(dtype))
        return other

    def reset_head(self, num_classes: int, seed: int = 0) -> None:
        """Put a freshly drawn head for `num_classes` classes, 0: none, in place of the present
        one; all else stays."""
        check_integer("reset_head", "num_classes", num_classes, least=0)
        init = Initializer(seed, self.config["dtype"])
        self.head = Linear(self.width, num_classes, init=init) if num_classes else None
        self.num_classes = self.config["num_classes"] = num_classes
        self.know(preparation=self.preparation)  # the classes are others
        self.name_paths()
