"""The parts between image and head: the stem, the four levels, the downsampling between them.

    PatchEmbed     (B, H, W, in_chans) to (B, H/4, W/4, dim): twice conv 3x3 stride 2, BatchNorm,
                   ReLU
    Downsample     (B, H, W, C) to (B, H/2, W/2, 2C): conv 3x3 stride 2
    ConvLevel      blocks on the whole map
    HybridLevel    blocks on the tokens of each window: the first half mixes by scan, the rest by
                   attention

Sizes that 2 does not divide are rounded up.

Hatamizadeh, Kautz: MambaVision, arXiv:2407.08083, section 3.1.
"""

from __future__ import annotations

from typing import Any

from ..backend import Array
from ..core import Initializer, Layer, Tape
from ..execution.checkpointing import checkpointed
from ..layers.batchnorm import BatchNorm
from ..layers.conv2d import Conv2d
from ..layers.relu import ReLU
from ..layers.window import window_mask, window_partition, window_reverse
from .blocks import Block
from .folding import conv_norm
from .pyramid import Level


@checkpointed(by_sample=False)
class PatchEmbed(Layer):
    """The stem: an image to a map a quarter as high and wide."""

    def __init__(
        self, in_chans: int, in_dim: int, dim: int, init: Initializer | None = None
    ) -> None:
        self.conv_down: list[Any] = [
            Conv2d(in_chans, in_dim, 3, stride=2, padding=1, bias=False, init=init),
            BatchNorm(in_dim, eps=1e-4, init=init),
            ReLU(),
            Conv2d(in_dim, dim, 3, stride=2, padding=1, bias=False, init=init),
            BatchNorm(dim, eps=1e-4, init=init),
            ReLU(),
        ]

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        conv1, norm1, relu1, conv2, norm2, relu2 = self.conv_down
        x = relu1(conv_norm(conv1, norm1, x, tape), tape)
        return relu2(conv_norm(conv2, norm2, x, tape), tape)

    def backward(self, dy: Array, tape: Tape) -> Array | None:
        """dx; None where the tape says that the gradient of the images is not wanted."""
        first, *others = self.conv_down
        for layer in reversed(others):
            dy = layer.backward(dy, tape)
        return first.backward(dy, tape, tape.inputs)


class Downsample(Layer):
    """Halve the map, double the channels."""

    def __init__(self, channels: int, init: Initializer | None = None) -> None:
        conv = Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False, init=init)
        self.reduction = [conv]  # a list of one: the official key is `reduction.0.weight`

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        return self.reduction[0](x, tape)

    def backward(self, dy: Array, tape: Tape) -> Array:
        return self.reduction[0].backward(dy, tape)


class ConvLevel(Level):
    """Convolution blocks, (B, H, W, C) to the same."""


@checkpointed(by_sample=True)
class HybridLevel(Level):
    """Mixer and attention blocks in windows of `window`, (B, H, W, C) to the same.

    The map is padded and cut once, before the first block. `mask_padding` leaves the padded tokens
    out of every mixer; officially they are not, and LayerNorm turns their zeros into its bias.
    """

    def __init__(
        self, blocks: list[Block], window: int, mask_padding: bool, downsample: Downsample | None
    ) -> None:
        super().__init__(blocks, downsample)
        self.window, self.mask_padding = window, mask_padding

    def forward(self, x: Array, tape: Tape | None = None) -> Array:
        B, H, W, _ = x.shape
        mask = window_mask(x, B, H, W, self.window) if self.mask_padding else None
        tokens = window_partition(x, self.window)
        for block in self.blocks:
            tokens = block.forward(tokens, tape, mask)
        return self.record(tape, (window_reverse(tokens, self.window, H, W), (H, W)))

    def backward(self, dy: Array, tape: Tape) -> Array:
        H, W = tape.pop(self)
        dtokens = window_partition(dy, self.window)
        for block in reversed(self.blocks):
            dtokens = block.backward(dtokens, tape)
        return window_reverse(dtokens, self.window, H, W)
